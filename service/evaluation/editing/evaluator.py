"""Edits of facts that were not trained on, judged by free generation as it is served.

Each edit is made, its prompts are asked, and it is rolled back again; in cumulative mode all edits are left in force
and asked afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from editing.data.facts import Example
from editing.edit import EditRequest
from editing.language.views import View
from service.engines.protocol import SamplingParams
from service.evaluation.editing.fluency import n_gram_entropy
from service.evaluation.editing.judge import AnswerCollector, EditInForce, EditJudge, EvaluationPrompt, refusal
from service.evaluation.editing.methods import EditingMethod, EditSelection, MethodEdit
from service.evaluation.editing.teacher_forcing import TeacherForcingProbe
from service.evaluation.editing.verdicts import EditVerdicts, Fluency, PassageDrift, form_of

TOGETHER = 64  # edits that are asked all at once, without scope, at most
_GROUP = 6  # edits asked together in cumulative mode: about fifty prompts a call


@dataclass(frozen=True)
class EvaluationPlan:
    """What is asked beside the examples.

    Attributes:
        max_tokens: longest answer asked for.
        passages: texts that drift is measured on; none: drift is left out.
        readings: passages read for each edit, in turns, when edits are judged one by one.
        long_answers: edits whose subject is also told about at length.
    """

    cumulative: bool = False
    max_tokens: int = 32
    passages: tuple[str, ...] = ()
    readings: int = 2
    long_answers: int = 10
    long_tokens: int = 80


@dataclass(frozen=True)
class UneditedAnswers:
    """Answers of the unedited model; every subject of a run shares them."""

    short: dict[View, str] = field(default_factory=dict)
    long: dict[View, str] = field(default_factory=dict)


class Evaluation:
    """Judges one subject's edits. It begins and ends with no edit in force.

    Args:
        probe: None leaves teacher forcing and drift out.
        on_step: called when an edit was made, and when it was judged.
    """

    def __init__(
        self,
        subject: EditingMethod,
        plan: EvaluationPlan,
        unedited: UneditedAnswers,
        probe: TeacherForcingProbe | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        self.subject, self.plan, self.probe, self.on_step = subject, plan, probe, on_step
        self.asker = AnswerCollector(subject.generate_many, SamplingParams(max_tokens=plan.max_tokens), unedited.short)
        self.teller = AnswerCollector(subject.generate_many, SamplingParams(max_tokens=plan.long_tokens), unedited.long)

    def run(self, examples: Sequence[Example], start: int = 0) -> Iterator[EditVerdicts]:
        """One by one, or all of them together. ``start``: single edits before this one are left out."""
        return self._cumulative(examples) if self.plan.cumulative else self._single(examples, start)

    def _single(self, examples: Sequence[Example], start: int) -> Iterator[EditVerdicts]:
        judge = EditJudge(self.asker, self.probe)
        for number, example in enumerate(examples[start:], start):
            made = self._made(example)
            try:
                yield from self._judged(judge, [_EditedExample(number, example, made, self.subject.single)], ())
            finally:
                if made.id:
                    self.subject.rollback(made.id)
            self.on_step()

    def _cumulative(self, examples: Sequence[Example]) -> Iterator[EditVerdicts]:
        try:
            made = [self._made(example) for example in examples]
            ids = [one.id for one in made if one.id]
            ways = tuple(way for way in self.subject.cumulative if self._asks(way, len(ids)))
            edits = [_EditedExample(n, *pair, ways) for n, pair in enumerate(zip(examples, made, strict=True))]
            texts = frozenset(view.text for example in examples for view in (example.edit, *example.chat))
            judge = EditJudge(self.asker, self.probe, texts)
            for at in range(0, len(edits), _GROUP):
                for judged in self._judged(judge, edits[at : at + _GROUP], ids, len(examples)):
                    yield judged
                    self.on_step()
        finally:
            self.subject.reset()

    def _asks(self, way: EditSelection, edits: int) -> bool:
        """All edits at once are asked while they are few; an editor that knows no other way is always asked so."""
        return way.acts != "all" or edits <= TOGETHER or len(self.subject.cumulative) == 1

    def _made(self, example: Example) -> MethodEdit:
        made = self.subject.edit(EditRequest(example.edit.text, example.target, example.edit.raw))
        self.on_step()
        return made

    def _judged(
        self, judge: EditJudge, group: Sequence[_EditedExample], ids: Sequence[str], stride: int = 0
    ) -> Iterator[EditVerdicts]:
        held = [EditInForce(one.example, one.made.id, one.ways) for one in group if one.made.id]
        verdicts = iter(judge.judge(held, ids) if held else [])
        told = iter(self._told(group, ids))
        for one in group:
            example, made = one.example, one.made
            what = (self.subject.name, example.relation, form_of(example), made.id is None)
            if made.id is None:
                found = refusal(example, one.ways, made.said)
                yield EditVerdicts(*what, made.refinements, made.compute_ms, found)
                continue
            readings = tuple(self._read(one, ids, stride))
            yield EditVerdicts(*what, made.refinements, made.compute_ms, next(verdicts), readings, next(told, ()))

    def _read(self, one: _EditedExample, ids: Sequence[str], stride: int) -> Iterator[PassageDrift]:
        """Single edits read a few passages in turn; edits left in force share all passages among them."""
        passages, n = self.plan.passages, self.plan.readings
        if self.probe is None or not passages or not one.made.id:
            return
        turn = range(one.number, len(passages), stride) if stride else range(one.number * n, (one.number + 1) * n)
        for at in turn:
            for way in one.ways:
                yield self.probe.read(way.name, passages[at % len(passages)], way.choice(one.made.id, ids))

    def _told(self, group: Sequence[_EditedExample], ids: Sequence[str]) -> list[tuple[Fluency, ...]]:
        """Of the edits of a group that were made and are among the first."""
        telling = [one for one in group if one.made.id and one.number < self.plan.long_answers]
        asked = {
            (one.number, way.name): EvaluationPrompt(one.topic, way.choice(one.made.id or "", ids))
            for one in telling
            for way in one.ways
        }
        said = self.teller.ask([*asked.values(), *(EvaluationPrompt(one.topic, ()) for one in telling)])
        entropies = {key: n_gram_entropy(answer.text) for key, answer in said.items()}
        return [
            tuple(
                Fluency(way.name, entropies[EvaluationPrompt(one.topic, ())], entropies[asked[one.number, way.name]])
                for way in one.ways
            )
            for one in telling
        ]


@dataclass(frozen=True)
class _EditedExample:
    """An example, its place in the run and its edit."""

    number: int
    example: Example
    made: MethodEdit
    ways: tuple[EditSelection, ...]

    @property
    def topic(self) -> View:
        return View(f"Tell me about {self.example.subject}.", raw=False)

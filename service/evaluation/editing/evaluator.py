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
from service.evaluation.editing.verdicts import EditVerdicts, Fluency, PassageDrift, Verdict, form_of

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
    """Answers of the unedited model; all methods of a run share them."""

    short: dict[View, str] = field(default_factory=dict)
    long: dict[View, str] = field(default_factory=dict)


class Evaluation:
    """Judges one method's edits. It begins and ends with no edit in force.

    Args:
        probe: None leaves teacher forcing and drift out.
        on_step: called when an edit was made, and when it was judged.
    """

    def __init__(
        self,
        method: EditingMethod,
        plan: EvaluationPlan,
        unedited: UneditedAnswers,
        probe: TeacherForcingProbe | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        self.method, self.plan, self.probe, self.on_step = method, plan, probe, on_step
        generate = method.generate_many
        self.short = AnswerCollector(generate, SamplingParams(max_tokens=plan.max_tokens), unedited.short)
        self.long = AnswerCollector(generate, SamplingParams(max_tokens=plan.long_tokens), unedited.long)

    def run(self, examples: Sequence[Example], start: int = 0) -> Iterator[EditVerdicts]:
        """One by one, or all of them together. ``start``: single edits before this one are left out."""
        return self._cumulative(examples) if self.plan.cumulative else self._single(examples, start)

    def _single(self, examples: Sequence[Example], start: int) -> Iterator[EditVerdicts]:
        judge = EditJudge(self.short, self.probe)
        for number, example in enumerate(examples[start:], start):
            edit = self._edit(example)
            try:
                yield from self._verdicts(judge, [_EditedExample(number, example, edit, self.method.single)], ())
            finally:
                if edit.id:
                    self.method.rollback(edit.id)
            self.on_step()

    def _cumulative(self, examples: Sequence[Example]) -> Iterator[EditVerdicts]:
        try:
            edits = [self._edit(example) for example in examples]
            ids = [edit.id for edit in edits if edit.id]
            selections = tuple(one for one in self.method.cumulative if self._is_asked(one, len(ids)))
            edited = [_EditedExample(n, *pair, selections) for n, pair in enumerate(zip(examples, edits, strict=True))]
            texts = frozenset(view.text for example in examples for view in (example.edit, *example.chat))
            judge = EditJudge(self.short, self.probe, texts)
            for at in range(0, len(edited), _GROUP):
                for verdicts in self._verdicts(judge, edited[at : at + _GROUP], ids, len(examples)):
                    yield verdicts
                    self.on_step()
        finally:
            self.method.reset()

    def _is_asked(self, selection: EditSelection, edits: int) -> bool:
        """All edits at once are asked while they are few; a method that has no other selection is always asked so."""
        return selection.acts != "all" or edits <= TOGETHER or len(self.method.cumulative) == 1

    def _edit(self, example: Example) -> MethodEdit:
        edit = self.method.edit(EditRequest(example.edit.text, example.target, example.edit.raw))
        self.on_step()
        return edit

    def _verdicts(
        self, judge: EditJudge, group: Sequence[_EditedExample], ids: Sequence[str], stride: int = 0
    ) -> Iterator[EditVerdicts]:
        in_force = [EditInForce(one.example, one.edit.id, one.selections) for one in group if one.edit.id]
        verdicts = iter(judge.judge(in_force, ids) if in_force else [])
        fluency = iter(self._fluency(group, ids))
        for one in group:
            if one.edit.id is None:
                yield self._record(one, refusal(one.example, one.selections, one.edit.answer))
            else:
                drift = tuple(self._drift(one, ids, stride))
                yield self._record(one, next(verdicts), drift, next(fluency, ()))

    def _record(
        self,
        one: _EditedExample,
        verdicts: tuple[Verdict, ...],
        drift: tuple[PassageDrift, ...] = (),
        fluency: tuple[Fluency, ...] = (),
    ) -> EditVerdicts:
        edit = one.edit
        return EditVerdicts(
            self.method.name,
            one.example.relation,
            form_of(one.example),
            edit.id is None,
            edit.refinements,
            edit.compute_ms,
            verdicts,
            drift,
            fluency,
        )

    def _drift(self, one: _EditedExample, ids: Sequence[str], stride: int) -> Iterator[PassageDrift]:
        """Single edits read a few passages in turn; edits left in force share all passages among them."""
        passages, n = self.plan.passages, self.plan.readings
        if self.probe is None or not passages or not one.edit.id:
            return
        turn = range(one.number, len(passages), stride) if stride else range(one.number * n, (one.number + 1) * n)
        for at in turn:
            for selection in one.selections:
                choice = selection.choice(one.edit.id, ids)
                yield self.probe.read(selection.name, passages[at % len(passages)], choice)

    def _fluency(self, group: Sequence[_EditedExample], ids: Sequence[str]) -> list[tuple[Fluency, ...]]:
        """Of the edits of a group that were made and are among the first."""
        chosen = [one for one in group if one.edit.id and one.number < self.plan.long_answers]
        prompts = {
            (one.number, selection.name): EvaluationPrompt(one.topic, selection.choice(one.edit.id or "", ids))
            for one in chosen
            for selection in one.selections
        }
        unedited = {one.number: EvaluationPrompt(one.topic, ()) for one in chosen}
        answers = self.long.ask([*prompts.values(), *unedited.values()])
        entropies = {prompt: n_gram_entropy(answer.text) for prompt, answer in answers.items()}
        return [
            tuple(
                Fluency(selection.name, entropies[unedited[one.number]], entropies[prompts[one.number, selection.name]])
                for selection in one.selections
            )
            for one in chosen
        ]


@dataclass(frozen=True)
class _EditedExample:
    """An example, its place in the run and its edit."""

    number: int
    example: Example
    edit: MethodEdit
    selections: tuple[EditSelection, ...]

    @property
    def topic(self) -> View:
        return View(f"Tell me about {self.example.subject}.", raw=False)

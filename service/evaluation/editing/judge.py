"""Judging edits by free generation, many prompts in a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from editing.data.facts import Example
from editing.language.views import View
from editing.verify import match
from service.engines.protocol import SamplingParams
from service.evaluation.editing.methods import EditSelection
from service.evaluation.editing.verdicts import WANTED, Verdict, prompts_of
from service.types.edits import EditChoice
from service.types.generation import Answer, GenerateQuery

Generate = Callable[[Sequence[GenerateQuery]], list[Answer]]


@dataclass(frozen=True)
class EvaluationPrompt:
    """A prompt, and the edits that shall act on it; no ids at all: the unedited model."""

    view: View
    choice: EditChoice


@dataclass(frozen=True)
class EvaluationAnswer:
    """An answer, and the edits that acted."""

    text: str
    used: tuple[str, ...]


Answers = dict[EvaluationPrompt, EvaluationAnswer]


class AnswerCollector:
    """Asks in at most two calls, and nothing twice: by scope first, then what scope did not already answer.

    Args:
        generate: as ``Pipeline.generate_many``.
        unedited: answers of the unedited model, kept over the run; the params of all that share it are the same.
    """

    def __init__(self, generate: Generate, params: SamplingParams, unedited: dict[View, str]) -> None:
        self.generate, self.params, self.unedited = generate, params, unedited

    def ask(self, prompts: Iterable[EvaluationPrompt]) -> Answers:
        wanted = list(dict.fromkeys(prompts))
        found = self._generated([one for one in wanted if one.choice == "active"])
        found |= {EvaluationPrompt(one.view, answer.used): answer for one, answer in found.items()}  # by these edits
        found |= {EvaluationPrompt(view, ()): EvaluationAnswer(text, ()) for view, text in self.unedited.items()}
        found |= self._generated([one for one in wanted if one not in found])
        return {one: self._settled(one.view, found[one]) for one in wanted}

    def _settled(self, view: View, answer: EvaluationAnswer) -> EvaluationAnswer:
        """Where no edit acted it is the unedited model, which has one answer, whatever was decoded beside it."""
        return answer if answer.used else EvaluationAnswer(self.unedited.setdefault(view, answer.text), ())

    def _generated(self, prompts: Sequence[EvaluationPrompt]) -> Answers:
        if not prompts:
            return {}
        queries = [
            GenerateQuery(self.params, prompt=one.view.text, raw=one.view.raw, edits=one.choice or "none")
            for one in prompts
        ]
        answers = self.generate(queries)
        return {one: EvaluationAnswer(a.text, a.edits_used) for one, a in zip(prompts, answers, strict=True)}


class TeacherForcing(Protocol):
    """Teacher-forced success; see ``service.evaluation.editing.teacher_forcing.TeacherForcingProbe``."""

    def forced(self, rows: Sequence[tuple[View, str, tuple[str, ...]]]) -> list[bool]: ...


@dataclass(frozen=True)
class EditInForce:
    """An edit in force, what it shall do, and which edits its prompts are asked under."""

    example: Example
    edit_id: str
    selections: tuple[EditSelection, ...]


class EditJudge:
    """Verdicts on edits in force.

    Args:
        forcing: None leaves teacher forcing out.
        edited: texts that some edit of the run is about; they are no prompts whose answer must stay.
    """

    def __init__(
        self, answers: AnswerCollector, forcing: TeacherForcing | None = None, edited: frozenset[str] = frozenset()
    ) -> None:
        self.answers, self.forcing, self.edited = answers, forcing, edited

    def judge(self, group: Sequence[EditInForce], together: Sequence[str] = ()) -> list[tuple[Verdict, ...]]:
        """Verdicts of each edit of the group; ``together``: ids of all edits in force."""
        cases = [
            _Case(n, selection.name, kind, EvaluationPrompt(view, selection.choice(one.edit_id, together)))
            for n, one in enumerate(group)
            for kind, view in prompts_of(one.example)
            if kind in WANTED or view.text not in self.edited
            for selection in one.selections
        ]
        before = [EvaluationPrompt(case.prompt.view, ()) for case in cases if case.kind not in WANTED]
        answers = self.answers.ask([*(case.prompt for case in cases), *before])
        targets = [one.example.target for one in group]
        forced = self._forced([case for case in cases if case.kind in WANTED], targets, answers)
        found: list[list[Verdict]] = [[] for _ in group]
        for case in cases:
            found[case.edit].append(_verdict(case, targets[case.edit], answers, forced.get(case)))
        return [tuple(verdicts) for verdicts in found]

    def _forced(self, cases: Sequence[_Case], targets: Sequence[str], answers: Answers) -> dict[_Case, bool]:
        if self.forcing is None or not cases:
            return {}
        rows = {case: (case.prompt.view, targets[case.edit], answers[case.prompt].used) for case in cases}
        unique = list(dict.fromkeys(rows.values()))
        results = dict(zip(unique, self.forcing.forced(unique), strict=True))
        return {case: results[row] for case, row in rows.items()}


@dataclass(frozen=True)
class _Case:
    """One prompt of one edit of a group, under one selection of edits."""

    edit: int
    selection: str
    kind: str
    prompt: EvaluationPrompt


def _verdict(case: _Case, target: str, answers: Answers, forced: bool | None) -> Verdict:
    view, text = case.prompt.view, answers[case.prompt].text
    if case.kind in WANTED:
        hit, wanted = match(text, target) == "exact", target
    else:
        wanted = answers[EvaluationPrompt(view, ())].text
        hit = text == wanted
    return Verdict(case.selection, case.kind, hit, view.text, text, wanted, forced)


def refusal(example: Example, selections: Iterable[EditSelection], answer: str) -> tuple[Verdict, ...]:
    """Verdicts on an edit that was refused: all that was wanted is missed."""
    return tuple(
        Verdict(one.name, kind, False, view.text, answer if kind == "efficacy" else "", example.target)
        for kind, view in prompts_of(example)
        if kind in WANTED
        for one in selections
    )

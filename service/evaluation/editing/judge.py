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
from service.types import Answer, EditChoice, GenerateQuery

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


class AnswerCollector:
    """Asks in at most two calls, and nothing twice: by scope first, then what scope did not already answer.

    Args:
        generate: as ``Pipeline.generate_many``.
        unedited: answers of the unedited model, kept over the run; the params of all that share it are the same.
    """

    def __init__(self, generate: Generate, params: SamplingParams, unedited: dict[View, str]) -> None:
        self.generate, self.params, self.unedited = generate, params, unedited

    def ask(self, asked: Iterable[EvaluationPrompt]) -> dict[EvaluationPrompt, EvaluationAnswer]:
        wanted = list(dict.fromkeys(asked))
        said = self._generated([one for one in wanted if one.choice == "active"])
        said |= {
            EvaluationPrompt(one.view, answer.used): answer for one, answer in said.items()
        }  # under exactly these edits
        said |= {EvaluationPrompt(view, ()): EvaluationAnswer(text, ()) for view, text in self.unedited.items()}
        said |= self._generated([one for one in wanted if one not in said])
        return {one: self._settled(one.view, said[one]) for one in wanted}

    def _settled(self, view: View, answer: EvaluationAnswer) -> EvaluationAnswer:
        """Where no edit acted it is the unedited model, which has one answer, whatever was decoded beside it."""
        return answer if answer.used else EvaluationAnswer(self.unedited.setdefault(view, answer.text), ())

    def _generated(self, asked: Sequence[EvaluationPrompt]) -> dict[EvaluationPrompt, EvaluationAnswer]:
        if not asked:
            return {}
        queries = [
            GenerateQuery(self.params, prompt=one.view.text, raw=one.view.raw, edits=one.choice or "none")
            for one in asked
        ]
        answers = self.generate(queries)
        return {one: EvaluationAnswer(a.text, a.edits_used) for one, a in zip(asked, answers, strict=True)}


class TeacherForcing(Protocol):
    """Teacher-forced success; see ``service.evaluation.editing.teacher_forcing.Probe``."""

    def forced(self, rows: Sequence[tuple[View, str, tuple[str, ...]]]) -> list[bool]: ...


@dataclass(frozen=True)
class EditInForce:
    """An edit in force, what it shall do, and the ways to ask."""

    example: Example
    edit_id: str
    ways: tuple[EditSelection, ...]


class EditJudge:
    """Verdicts on edits in force.

    Args:
        forcing: None leaves teacher forcing out.
        edited: texts that some edit of the run is about; they are no prompts whose answer must stay.
    """

    def __init__(
        self, asker: AnswerCollector, forcing: TeacherForcing | None = None, edited: frozenset[str] = frozenset()
    ) -> None:
        self.asker, self.forcing, self.edited = asker, forcing, edited

    def judge(self, group: Sequence[EditInForce], together: Sequence[str] = ()) -> list[tuple[Verdict, ...]]:
        """Verdicts of each edit of the group; ``together``: ids of all edits in force."""
        rows = [
            _ForcedRow(n, way.name, kind, EvaluationPrompt(view, way.choice(held.edit_id, together)))
            for n, held in enumerate(group)
            for kind, view in prompts_of(held.example)
            if kind in WANTED or view.text not in self.edited
            for way in held.ways
        ]
        before = [EvaluationPrompt(row.asked.view, ()) for row in rows if row.kind not in WANTED]
        said = self.asker.ask([*(row.asked for row in rows), *before])
        targets = [held.example.target for held in group]
        forced = self._forced([row for row in rows if row.kind in WANTED], targets, said)
        found: list[list[Verdict]] = [[] for _ in group]
        for row in rows:
            found[row.edit].append(self._verdict(row, targets[row.edit], said, forced.get(row)))
        return [tuple(verdicts) for verdicts in found]

    def _verdict(
        self, row: _ForcedRow, target: str, said: dict[EvaluationPrompt, EvaluationAnswer], forced: bool | None
    ) -> Verdict:
        answer = said[row.asked]
        if row.kind in WANTED:
            hit, wanted = match(answer.text, target) == "exact", target
        else:
            wanted = said[EvaluationPrompt(row.asked.view, ())].text
            hit = answer.text == wanted
        return Verdict(row.way, row.kind, hit, row.asked.view.text, answer.text, wanted, forced)

    def _forced(
        self, rows: Sequence[_ForcedRow], targets: Sequence[str], said: dict[EvaluationPrompt, EvaluationAnswer]
    ) -> dict[_ForcedRow, bool]:
        if self.forcing is None or not rows:
            return {}
        cases = {row: (row.asked.view, targets[row.edit], said[row.asked].used) for row in rows}
        unique = list(dict.fromkeys(cases.values()))
        results = dict(zip(unique, self.forcing.forced(unique), strict=True))
        return {row: results[case] for row, case in cases.items()}


@dataclass(frozen=True)
class _ForcedRow:
    """One prompt of one edit of a group, asked one way."""

    edit: int
    way: str
    kind: str
    asked: EvaluationPrompt


def refusal(example: Example, ways: Iterable[EditSelection], said: str) -> tuple[Verdict, ...]:
    """Verdicts on an edit that was refused: all that was wanted is missed."""
    return tuple(
        Verdict(way.name, kind, False, view.text, said if kind == "efficacy" else "", example.target)
        for kind, view in prompts_of(example)
        if kind in WANTED
        for way in ways
    )

"""What one change for all edits says, beside what the service says with its scope decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from editing.edit import Deltas, Edit, EditRequest
from editing.verify import match, normalise
from service.engines import SamplingParams
from service.pipeline import Pipeline
from service.shares import Share
from service.teaching import ANSWER_TOKENS, WANTED, Question

_WORDS = 4  # of an answer's beginning


@dataclass(frozen=True)
class Case:
    """One prompt: what is wanted there, and what the compiled model says."""

    question: Question
    said: str

    @property
    def right(self) -> bool:
        """It says the edit's output, or exactly what the service says."""
        if self.question.kind in WANTED:
            return match(self.said, self.question.answer) == "exact"
        return self.said == self.question.answer

    @property
    def alike(self) -> bool:
        """The first words are the service's, whatever follows."""
        if self.question.kind in WANTED:
            return self.right
        return _beginning(self.said) == _beginning(self.question.answer)

    def document(self) -> dict[str, Any]:
        q = self.question
        return {"kind": q.kind, "prompt": q.view.text, "wanted": q.answer, "said": self.said, "right": self.right}


@dataclass(frozen=True)
class Report:
    """Figures of a compiled change.

    Attributes:
        min_efficacy: least share of the edits' own inputs that must get their output.
        min_locality: least share of prompts that no edit is about whose answer must begin as the service's.
    """

    cases: tuple[Case, ...]
    min_efficacy: float
    min_locality: float

    @property
    def efficacy(self) -> Share:
        return Share.of(case.right for case in self.cases if case.question.kind == "input")

    @property
    def locality(self) -> Share:
        return Share.of(case.alike for case in self.cases if case.question.kind not in WANTED)

    @property
    def passed(self) -> bool:
        return not self.shortfalls

    @property
    def shortfalls(self) -> list[str]:
        """What is below what was asked, in words."""
        asked = (("efficacy", self.efficacy, self.min_efficacy), ("locality", self.locality, self.min_locality))
        return [f"{name} is {share.rate:.3f}, below {least}" for name, share, least in asked if share.rate < least]

    def document(self) -> dict[str, Any]:
        kinds = dict.fromkeys(case.question.kind for case in self.cases)
        figures = {}
        for kind in kinds:
            own = [case for case in self.cases if case.question.kind == kind]
            figures[kind] = {"right": Share.of(case.right for case in own).document()}
            if kind not in WANTED:
                figures[kind]["begins_alike"] = Share.of(case.alike for case in own).document()
        return {
            "passed": self.passed,
            "min_efficacy": self.min_efficacy,
            "min_locality": self.min_locality,
            "efficacy": self.efficacy.document(),
            "locality": self.locality.document(),
            "kinds": figures,
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Of the table: kind, exactly what is wanted, begins alike."""
        found = []
        for kind, figures in self.document()["kinds"].items():
            found.append((kind, *(_percent(figures.get(name)) for name in ("right", "begins_alike"))))
        return found


def judged(pipeline: Pipeline, deltas: Deltas, questions: Sequence[Question]) -> list[Case]:
    """Ask everything once under the one change, greedily, as far as the wanted answers go."""
    change = Edit("compiled", EditRequest("", ""), {n: d.to(pipeline.base.model.dtype) for n, d in deltas.items()})
    cases: dict[Question, str] = {}
    for tokens, some in _by_length(pipeline, questions).items():
        prompts = [pipeline.prompts.question(q.view.text, "prompt", tokens, q.view.raw).ids for q in some]
        made = pipeline.engine.generate(prompts, [[change]] * len(prompts), SamplingParams(max_tokens=tokens))
        cases |= {question: one.text for question, one in zip(some, made, strict=True)}
    return [Case(question, cases[question]) for question in questions]


def _by_length(pipeline: Pipeline, questions: Sequence[Question]) -> dict[int, list[Question]]:
    """Kept answers are compared as far as they were heard; an edit's output is heard to its end."""
    groups: dict[int, list[Question]] = {}
    for question in questions:
        tokens = ANSWER_TOKENS
        if question.kind in WANTED:
            needed = len(pipeline.prompts.encoder.raw(question.answer)) + 8
            tokens = next((n for n in (ANSWER_TOKENS, 64, 256) if n >= needed), needed)
        groups.setdefault(tokens, []).append(question)
    return groups


def _beginning(text: str) -> list[str]:
    return normalise(text).split()[:_WORDS]


def _percent(share: dict[str, Any] | None) -> str:
    return f"{100 * share['rate']:.1f} % of {share['trials']}" if share else ""

"""What one change for all edits says, beside what the service says with its scope decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from editing.edit import Deltas, Edit, EditRequest
from editing.verify import match, normalise
from service.engines.protocol import SamplingParams
from service.evaluation.statistics import Proportion
from service.export.teacher import ANSWER_TOKENS, WANTED, TeacherPrompt
from service.pipeline import Pipeline
from service.types import GenerateQuery

_WORDS = 4  # of an answer's beginning


@dataclass(frozen=True)
class ComparedAnswer:
    """One prompt: what is wanted there, what the compiled model says, and what the service says by scope."""

    question: TeacherPrompt
    said: str
    served: str

    @property
    def right(self) -> bool:
        """It says the edit's output, or exactly what the service says."""
        return self._as_wanted(self.said)

    @property
    def served_right(self) -> bool:
        """The same of the service."""
        return self._as_wanted(self.served)

    @property
    def alike(self) -> bool:
        """The first words are the service's, whatever follows."""
        if self.question.kind in WANTED:
            return self.right
        return _beginning(self.said) == _beginning(self.question.answer)

    def document(self) -> dict[str, Any]:
        q = self.question
        return {"kind": q.kind, "prompt": q.view.text, "wanted": q.answer, "said": self.said, "served": self.served}

    def _as_wanted(self, text: str) -> bool:
        if self.question.kind in WANTED:
            return match(text, self.question.answer) == "exact"
        return text == self.question.answer


@dataclass(frozen=True)
class ExportReport:
    """Figures of a compiled change.

    Attributes:
        min_efficacy: least share of the edits' own inputs that must get their output.
        min_locality: least share of prompts that no edit is about whose answer must begin as the service's.
    """

    cases: tuple[ComparedAnswer, ...]
    min_efficacy: float
    min_locality: float

    @property
    def efficacy(self) -> Proportion:
        return Proportion.of(case.right for case in self.cases if case.question.kind == "input")

    @property
    def locality(self) -> Proportion:
        return Proportion.of(case.alike for case in self.cases if case.question.kind not in WANTED)

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
            shares = {"right": (case.right for case in own), "served": (case.served_right for case in own)}
            figures[kind] = {name: Proportion.of(hits).document() for name, hits in shares.items()}
            if kind not in WANTED:
                figures[kind]["begins_alike"] = Proportion.of(case.alike for case in own).document()
        return {
            "passed": self.passed,
            "min_efficacy": self.min_efficacy,
            "min_locality": self.min_locality,
            "efficacy": self.efficacy.document(),
            "locality": self.locality.document(),
            "kinds": figures,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Of the table: kind, the service as wanted, the compiled model as wanted, begins alike."""
        names = ("served", "right", "begins_alike")
        kinds = self.document()["kinds"]
        return [(kind, *(percent(figures.get(name)) for name in names)) for kind, figures in kinds.items()]


def judged(
    pipeline: Pipeline, deltas: Deltas, questions: Sequence[TeacherPrompt], revision: int
) -> list[ComparedAnswer]:
    """Ask everything once under the one change, greedily, as far as the wanted answers go, and once by scope."""
    change = Edit("compiled", EditRequest("", ""), {n: d.to(pipeline.base.model.dtype) for n, d in deltas.items()})
    said: dict[TeacherPrompt, str] = {}
    served = {question: question.answer for question in questions if question.kind not in WANTED}  # asked before
    for tokens, some in _by_length(pipeline, questions).items():
        params = SamplingParams(max_tokens=tokens)
        prompts = [pipeline.prompts.question(q.view.text, "prompt", tokens, q.view.raw).ids for q in some]
        made = pipeline.engine.generate(prompts, [[change]] * len(prompts), params)
        said |= {question: one.text for question, one in zip(some, made, strict=True)}
        wanted = [question for question in some if question not in served]
        answers = pipeline.generate_many(
            [GenerateQuery(params, q.view.text, raw=q.view.raw, revision=revision) for q in wanted]
        )
        served |= {question: one.text for question, one in zip(wanted, answers, strict=True)}
    return [ComparedAnswer(question, said[question], served[question]) for question in questions]


def _by_length(pipeline: Pipeline, questions: Sequence[TeacherPrompt]) -> dict[int, list[TeacherPrompt]]:
    """Kept answers are compared as far as they were heard; an edit's output is heard to its end."""
    groups: dict[int, list[TeacherPrompt]] = {}
    for question in questions:
        tokens = ANSWER_TOKENS
        if question.kind in WANTED:
            needed = len(pipeline.prompts.encoder.raw(question.answer)) + 8
            tokens = next((n for n in (ANSWER_TOKENS, 64, 256) if n >= needed), needed)
        groups.setdefault(tokens, []).append(question)
    return groups


def _beginning(text: str) -> list[str]:
    return normalise(text).split()[:_WORDS]


def percent(share: dict[str, Any] | None) -> str:
    """For tables; empty where there is none."""
    return f"{100 * share['rate']:.1f} % of {share['trials']}" if share else ""

"""How one change for all edits answers, beside the service with its scope decision."""

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
from service.types.generation import GenerateQuery

_WORDS = 4  # of an answer's beginning


@dataclass(frozen=True)
class ComparedAnswer:
    """One prompt, and the answers of the compiled model and of the service with its scope decision."""

    prompt: TeacherPrompt
    compiled: str
    served: str

    @property
    def right(self) -> bool:
        """The compiled model gives the edit's output, or exactly the service's answer."""
        return self._as_wanted(self.compiled)

    @property
    def served_right(self) -> bool:
        """The same of the service."""
        return self._as_wanted(self.served)

    @property
    def alike(self) -> bool:
        """The first words are the service's, whatever follows."""
        if self.prompt.kind in WANTED:
            return self.right
        return _beginning(self.compiled) == _beginning(self.prompt.answer)

    def document(self) -> dict[str, Any]:
        prompt = self.prompt
        texts = {"prompt": prompt.view.text, "wanted": prompt.answer, "said": self.compiled, "served": self.served}
        return {"kind": prompt.kind, **texts}

    def _as_wanted(self, text: str) -> bool:
        if self.prompt.kind in WANTED:
            return match(text, self.prompt.answer) == "exact"
        return text == self.prompt.answer


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
        return Proportion.of(case.right for case in self.cases if case.prompt.kind == "input")

    @property
    def locality(self) -> Proportion:
        return Proportion.of(case.alike for case in self.cases if case.prompt.kind not in WANTED)

    @property
    def passed(self) -> bool:
        return not self.shortfalls

    @property
    def shortfalls(self) -> list[str]:
        """What is below what was asked, in words."""
        asked = (("efficacy", self.efficacy, self.min_efficacy), ("locality", self.locality, self.min_locality))
        return [f"{name} is {share.rate:.3f}, below {least}" for name, share, least in asked if share.rate < least]

    def document(self) -> dict[str, Any]:
        kinds = dict.fromkeys(case.prompt.kind for case in self.cases)
        figures = {}
        for kind in kinds:
            own = [case for case in self.cases if case.prompt.kind == kind]
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


def compare_answers(
    pipeline: Pipeline, deltas: Deltas, prompts: Sequence[TeacherPrompt], revision: int
) -> list[ComparedAnswer]:
    """Ask everything once under the one change, greedily, as far as the wanted answers go, and once by scope."""
    compiled: dict[TeacherPrompt, str] = {}
    served = {prompt: prompt.answer for prompt in prompts if prompt.kind not in WANTED}  # asked before
    for tokens, some in _by_length(pipeline, prompts).items():
        params = SamplingParams(max_tokens=tokens)
        compiled |= zip(some, _compiled_answers(pipeline, deltas, some, params), strict=True)
        wanted = [prompt for prompt in some if prompt not in served]
        answers = pipeline.generate_many(
            [GenerateQuery(params, one.view.text, raw=one.view.raw, revision=revision) for one in wanted]
        )
        served |= {prompt: one.text for prompt, one in zip(wanted, answers, strict=True)}
    return [ComparedAnswer(prompt, compiled[prompt], served[prompt]) for prompt in prompts]


def _compiled_answers(
    pipeline: Pipeline, deltas: Deltas, prompts: Sequence[TeacherPrompt], params: SamplingParams
) -> list[str]:
    factors = {name: delta.to(pipeline.base.model.dtype) for name, delta in deltas.items()}
    change = Edit("compiled", EditRequest("", ""), factors)
    ids = [pipeline.prompts.question(p.view.text, "prompt", params.max_tokens, p.view.raw).ids for p in prompts]
    return [one.text for one in pipeline.engine.generate(ids, [[change]] * len(ids), params)]


def _by_length(pipeline: Pipeline, prompts: Sequence[TeacherPrompt]) -> dict[int, list[TeacherPrompt]]:
    """Kept answers are compared as far as they were heard; an edit's output is heard to its end."""
    groups: dict[int, list[TeacherPrompt]] = {}
    for prompt in prompts:
        tokens = ANSWER_TOKENS
        if prompt.kind in WANTED:
            needed = len(pipeline.prompts.encoder.raw(prompt.answer)) + 8
            tokens = next((n for n in (ANSWER_TOKENS, 64, 256) if n >= needed), needed)
        groups.setdefault(tokens, []).append(prompt)
    return groups


def _beginning(text: str) -> list[str]:
    return normalise(text).split()[:_WORDS]


def percent(share: dict[str, Any] | None) -> str:
    """For tables; empty where there is none."""
    return f"{100 * share['rate']:.1f} % of {share['trials']}" if share else ""

"""The scoped service as a teacher: what one change for all edits has to say, and what it has to leave alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from editing.data.generated_prompts import GENERAL, PromptGenerator
from editing.language.views import View
from editing.ledger.state import State
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from service.engines.protocol import SamplingParams
from service.export.subject_names import SubjectNames
from service.pipeline import Pipeline

Kind = Literal["input", "rephrase", "wording", "locality", "around", "elsewhere"]
WANTED: tuple[Kind, ...] = ("input", "rephrase", "wording")
ANSWER_TOKENS = 16  # of an answer that stays, the part that is kept and compared
PASSAGE_TOKENS = 48
Advance = Callable[[int], None]


@dataclass(frozen=True)
class TeacherPrompt:
    """A prompt and the answer that the service gives to it: an edit's output, or what the model says anyhow.

    Attributes:
        ended: the answer is whole, not cut off.
    """

    kind: Kind
    view: View
    answer: str
    ended: bool = True


@dataclass(frozen=True)
class TeacherPlan:
    """How many prompts are made.

    Attributes:
        about: other wordings of each edit.
        around: questions about each edit's subject, and as many times its question about other names.
        elsewhere: questions of any topic about any name.
        passages: of the index, read as they stand.
        most: prompts around edits at most, all edits together.
    """

    about: int = 5
    around: int = 3
    elsewhere: int = 80
    passages: int = 40
    most: int = 1200
    seed: int = 0


class Teacher:
    """The edits of one state, and the service's answers under them.

    Args:
        plan: how many prompts are made.
    """

    def __init__(self, pipeline: Pipeline, state: State, plan: TeacherPlan) -> None:
        self.pipeline, self.state, self.plan = pipeline, state, plan
        self.generator, self.random = PromptGenerator(plan.seed), random.Random(plan.seed)
        self.requests = {edit_id: pipeline.registry.request(edit_id) for edit_id in state.active}
        self.everywhere = pipeline.registry.everywhere(state)
        subjects = [self.generator.asked(request.input).subject for request in self.requests.values()]
        self.names = SubjectNames(pipeline.index_manager, [subject for subject in subjects if subject], self.random)

    def edit_prompts(self, advance: Advance = lambda _: None) -> list[TeacherPrompt]:
        """Every edit in its own words, its user's, and those made by rule that scope takes for it."""
        found: list[TeacherPrompt] = []
        for edit_id, request in self.requests.items():
            found.append(TeacherPrompt("input", View(request.input, request.raw), request.output))
            found += [TeacherPrompt("rephrase", View(text, request.raw), request.output) for text in request.rephrases]
            about = self.generator.about(request, self.plan.about)
            match = None if edit_id in self.everywhere else edit_id
            found += [TeacherPrompt("wording", view, request.output) for view in about if self._matched(view) == match]
            advance(1)
        return found

    def other_prompts(self, advance: Advance = lambda _: None) -> list[TeacherPrompt]:
        """Prompts that no edit is about, with the service's answers."""
        kinds: dict[View, Kind] = {}
        per_edit = max(1, min(self.plan.around, self.plan.most // (2 * max(1, len(self.requests)))))
        for request in self.requests.values():
            kinds |= {View(text, request.raw): "locality" for text in request.locality}
            names = self.names.near(self.generator.asked(request.input).subject, per_edit)
            kinds |= {v: "around" for v in self.generator.around(request, names, per_edit) if v not in kinds}
            advance(1)
        general = [View(text, False) for text in GENERAL]
        if self.names.every:
            general += self.generator.elsewhere(self.names.every, self.plan.elsewhere)
        kinds |= {view: "elsewhere" for view in general if view not in kinds}
        return self._answered({view: kind for view, kind in kinds.items() if self._matched(view) is None})

    def edit_views(self) -> list[TargetSequence]:
        """What every edit was computed from: its input, the statements of it, its user's rephrases."""
        encoder, context = self.pipeline.prompts.encoder, self.pipeline.prompts.context
        return [s for request in self.requests.values() for s in edit_sequences(encoder, request, context)]

    def target_sequence(self, prompt: TeacherPrompt) -> TargetSequence:
        """The prompt with the wanted answer and the end of turn."""
        return self.pipeline.prompts.encoder.sequence(prompt.view.text, prompt.view.raw, prompt.answer)

    def kept_sequence(self, prompt: TeacherPrompt) -> TargetSequence:
        """The prompt with the beginning of the answer that stays."""
        whole = self.target_sequence(prompt)
        return whole if prompt.ended else TargetSequence(whole.ids[:-1], whole.start)

    def passages(self) -> list[TargetSequence]:
        """Texts that are read as they stand."""
        encoder = self.pipeline.prompts.encoder
        texts = self.names.passages(self.plan.passages)
        return [TargetSequence(encoder.raw(text)[:PASSAGE_TOKENS], 1) for text in texts]

    def _matched(self, view: View) -> str | None:
        """The matched edit that the service would let act."""
        pipeline = self.pipeline
        used = pipeline.registry.in_force(view.text, self.state)
        return next((i for i in used if i not in self.everywhere), None)

    def _answered(self, kinds: dict[View, Kind]) -> list[TeacherPrompt]:
        under = [self.pipeline.registry.edit(i) for i in self.everywhere]
        params = SamplingParams(max_tokens=ANSWER_TOKENS)
        prompts = [self.pipeline.prompts.question(v.text, "prompt", ANSWER_TOKENS, v.raw).ids for v in kinds]
        answers = self.pipeline.engine.generate(prompts, [under] * len(prompts), params)
        return [
            TeacherPrompt(kind, view, one.text, one.finish_reason == "stop")
            for (view, kind), one in zip(kinds.items(), answers, strict=True)
            if one.text.strip()
        ]

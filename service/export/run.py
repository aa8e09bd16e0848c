"""``errata compile``: all edits in force as one adapter, or one checkpoint, judged before it is written."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from editing.editors.layers import default_modules, whole_blocks
from editing.ledger.state import State
from editing.model.families import Decoder, edited_modules, family_of
from editing.model.passes import passes_for
from editing.model.side_path import stack
from editing.training.consolidate import Consolidation, ConsolidationConfig, ConsolidationResult
from editing.training.covariance_init import aimed
from editing.training.sampler import ConsolidationExamples
from service.app import build_pipeline
from service.cli.terminal.stages import Stages
from service.errors import ServiceError
from service.export.bundle import Bundle, check_target
from service.export.report import ExportReport, judged
from service.export.teacher import Teacher, TeacherPlan, TeacherPrompt
from service.pipeline import Pipeline
from service.settings import Settings

HELD = 48  # lessons of each sort that decide when training ends


class ExportError(ServiceError):
    """There is nothing to compile, or it does not belong to this model."""


@dataclass(frozen=True)
class ExportOptions:
    """What the command was asked for.

    Attributes:
        out: where it goes; must not exist, or be empty.
        layers: how many of the uppermost layers may change; 0: those of the editor.
        sample: at most so many edits, and prompts of every other sort, are judged.
        force: write even what falls below the limits.
        plan: how many prompts are made for training and judging.
    """

    out: Path
    merged: bool = False
    revision: int | None = None
    rank: int = 32
    steps: int = 600
    seconds: float = math.inf
    rate: float = 2e-3
    layers: int = 0
    min_efficacy: float = 0.95
    min_locality: float = 0.9
    sample: int = 200
    force: bool = False
    seed: int = 0
    plan: TeacherPlan = field(default_factory=TeacherPlan)


@dataclass(frozen=True)
class EditSplit:
    """Questions for training, for deciding when it ends, and for the report, which training never sees."""

    training: tuple[TeacherPrompt, ...]
    held: tuple[TeacherPrompt, ...]
    judged: tuple[TeacherPrompt, ...]


def compile_command(choices: ExportOptions, settings: Settings) -> tuple[ExportReport, dict[str, Any]]:
    """Train one change for all edits in force, judge it, and write it where it passes (or ``force`` is given).

    Returns:
        The report, and the document that stands beside the adapter as ``compile.json``.

    Raises:
        CannotCompile: no ledger, no edits in force, edits of another model, or a model that is no decoder.
        StorageError, UnknownRevision, ModelUnavailable, CorruptFactors: as the service.
    """
    out = choices.out.expanduser().absolute()
    check_target(out)
    if not (settings.directory / "ledger.db").is_file():
        raise ExportError(f"there is no ledger in {settings.directory}: no edit was ever made there")
    with ExitStack() as opened, Stages() as stages:
        pipeline = build_pipeline(settings, opened, stages.say)
        state = _checked(pipeline, pipeline.book.state(choices.revision))
        teacher = Teacher(pipeline, state, replace(choices.plan, seed=choices.seed))
        wanted, left = _divided(_ask(teacher, stages), choices.sample, choices.seed)
        trained = _train(teacher, wanted, left, choices, stages)
        with stages.stage("judging", 1):
            cases = judged(pipeline, trained.deltas, [*wanted.judged, *left.judged], state.revision)
        report = ExportReport(tuple(cases), choices.min_efficacy, choices.min_locality)
        bundle = Bundle(pipeline, settings, state, trained, report)
        if report.passed or choices.force:
            return report, bundle.write(out, choices.merged, stages.say)
        return report, bundle.document()


def changed_modules(pipeline: Pipeline, layers: int) -> list[str]:
    """The editor's own modules, or all linear layers of the uppermost ``layers`` blocks that it knows by name.

    Raises:
        ValueError: the model's layers have no known names.
    """
    if not layers:
        return list(pipeline.editor.layers) if pipeline.editor else default_modules(pipeline.base.model)
    return edited_modules(pipeline.base.model, *whole_blocks(pipeline.base.model, layers))


def _lowest(names: Sequence[str]) -> int:
    return min(int(number[1]) for name in names if (number := re.search(r"\.(\d+)\.", name)))


def _checked(pipeline: Pipeline, state: State) -> State:
    """Raises CannotCompile: see ``compile_command``."""
    if not state.active:
        raise ExportError(f"no edit is in force at revision {state.revision}: there is nothing to compile")
    if not isinstance(family_of(pipeline.base.model), Decoder):
        raise ExportError(f"{pipeline.base.name} is no decoder; only decoders can be compiled")
    made = {edit_id: pipeline.book.event(edit_id).model for edit_id in state.active}
    foreign = [edit_id for edit_id, model in made.items() if model not in (None, pipeline.base.digest)]
    if foreign:
        raise ExportError(
            f"{len(foreign)} of {len(made)} edits were made for another model, the first is {foreign[0]}; "
            f"serve {made[foreign[0]]} or roll them back"
        )
    return state


def _train(
    teacher: Teacher, wanted: EditSplit, left: EditSplit, choices: ExportOptions, stages: Stages
) -> ConsolidationResult:
    """In this thread, so that Ctrl-C reaches it; the compute thread is idle meanwhile."""
    pipeline = teacher.pipeline
    model, names = pipeline.base.model, changed_modules(pipeline, choices.layers)
    course = ConsolidationConfig(choices.steps, choices.seconds, rate=choices.rate, seed=choices.seed)
    passes = passes_for(model, _lowest(names), pipeline.prompts.encoder.prefix())
    lessons = ConsolidationExamples(
        (*map(teacher.says, wanted.training), *teacher.views()),
        (*map(teacher.keeps, left.training), *teacher.passages()),
    )
    held = ConsolidationExamples(tuple(map(teacher.says, wanted.held)), tuple(map(teacher.keeps, left.held)))
    everywhere = stack([[pipeline.book.edit(i).deltas for i in teacher.everywhere]], model.dtype, model.device)
    with stages.stage("training", 1) as advance:
        passes.ensure([*lessons.said, *lessons.kept])
        start = aimed(passes, names, choices.rank, lessons)
        return Consolidation(passes, course, everywhere, advance).train(start, lessons, held)


def _ask(teacher: Teacher, stages: Stages) -> tuple[list[TeacherPrompt], list[TeacherPrompt]]:
    n = len(teacher.requests)
    with stages.stage("wordings of the edits", n) as advance:
        wanted = teacher.wanted(advance)
    with stages.stage("prompts that no edit is about", n) as advance:
        return wanted, teacher.left_alone(advance)


def _divided(
    asked: tuple[list[TeacherPrompt], list[TeacherPrompt]], sample: int, seed: int
) -> tuple[EditSplit, EditSplit]:
    """Own inputs and user's rephrases are trained and judged; made wordings and other prompts are one or the other."""
    wanted, left = asked
    rng = random.Random(seed)
    made, given = _split(wanted, "wording"), [q for q in wanted if q.kind != "wording"]
    rng.shuffle(made)
    rng.shuffle(left)
    own = [q for q in given if q.kind == "input"]
    kept = [q for q in given if q.kind == "rephrase"]
    parts = []
    for every in (made, left):
        held = every[: min(HELD, max(1, len(every) // 8))]
        tested = every[len(held) : len(held) + min(sample, max(1, len(every) // 6))]
        parts.append((every[len(held) + len(tested) :], held, tested))
    (train_made, held_made, test_made), (train_left, held_left, test_left) = parts
    sampled = [*rng.sample(own, min(sample, len(own))), *rng.sample(kept, min(sample, len(kept)))]
    return (
        EditSplit((*given, *train_made), (*held_made, *sampled[:HELD]), (*sampled, *test_made)),
        EditSplit(tuple(train_left), tuple(held_left), tuple(test_left)),
    )


def _split(questions: Sequence[TeacherPrompt], kind: str) -> list[TeacherPrompt]:
    return [question for question in questions if question.kind == kind]

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
from editing.training.covariance_init import covariance_factors
from editing.training.sampler import ConsolidationExamples
from service.bootstrap import build_pipeline
from service.errors import ServiceError
from service.export.bundle import Bundle, check_target
from service.export.report import ExportReport, compare_answers
from service.export.teacher import Teacher, TeacherPlan, TeacherPrompt
from service.pipeline import Pipeline
from service.progress import ProgressReporter
from service.settings import Settings

HELD = 48  # prompts of each sort that decide when training ends


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
class PromptSplit:
    """Prompts for training, for deciding when it ends, and for the report, which training never sees."""

    training: tuple[TeacherPrompt, ...]
    held: tuple[TeacherPrompt, ...]
    judged: tuple[TeacherPrompt, ...]


def export_edits(
    options: ExportOptions, settings: Settings, progress: ProgressReporter
) -> tuple[ExportReport, dict[str, Any]]:
    """Train one change for all edits in force, judge it, and write it where it passes (or ``force`` is given).

    Returns:
        The report, and the document that stands beside the adapter as ``compile.json``.

    Raises:
        ExportError: no ledger, no edits in force, edits of another model, or a model that is no decoder.
        StorageError, UnknownRevision, ModelUnavailable, CorruptFactors: as the service.
    """
    out = options.out.expanduser().absolute()
    check_target(out)
    if not (settings.directory / "ledger.db").is_file():
        raise ExportError(f"there is no ledger in {settings.directory}: no edit was ever made there")
    with ExitStack() as opened:
        pipeline = build_pipeline(settings, opened, progress.say)
        state = _checked(pipeline, pipeline.registry.state(options.revision))
        teacher = Teacher(pipeline, state, replace(options.plan, seed=options.seed))
        wanted, others = _split(*_prompts(teacher, progress), options.sample, options.seed)
        trained = _train(teacher, wanted, others, options, progress)
        with progress.stage("judging", 1):
            cases = compare_answers(pipeline, trained.deltas, [*wanted.judged, *others.judged], state.revision)
        report = ExportReport(tuple(cases), options.min_efficacy, options.min_locality)
        bundle = Bundle(pipeline, settings, state, trained, report)
        if report.passed or options.force:
            return report, bundle.write(out, options.merged, progress.say)
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
    """Raises ExportError: see ``export_edits``."""
    if not state.active:
        raise ExportError(f"no edit is in force at revision {state.revision}: there is nothing to compile")
    if not isinstance(family_of(pipeline.base.model), Decoder):
        raise ExportError(f"{pipeline.base.name} is no decoder; only decoders can be compiled")
    made = {edit_id: pipeline.registry.event(edit_id).model for edit_id in state.active}
    foreign = [edit_id for edit_id, model in made.items() if model not in (None, pipeline.base.digest)]
    if foreign:
        raise ExportError(
            f"{len(foreign)} of {len(made)} edits were made for another model, the first is {foreign[0]}; "
            f"serve {made[foreign[0]]} or roll them back"
        )
    return state


def _train(
    teacher: Teacher, wanted: PromptSplit, others: PromptSplit, options: ExportOptions, progress: ProgressReporter
) -> ConsolidationResult:
    """In this thread, so that Ctrl-C reaches it; the compute thread is idle meanwhile."""
    pipeline = teacher.pipeline
    model, names = pipeline.base.model, changed_modules(pipeline, options.layers)
    config = ConsolidationConfig(options.steps, options.seconds, rate=options.rate, seed=options.seed)
    passes = passes_for(model, _lowest(names), pipeline.prompts.encoder.prefix())
    examples = ConsolidationExamples(
        (*map(teacher.target_sequence, wanted.training), *teacher.edit_views()),
        (*map(teacher.kept_sequence, others.training), *teacher.passages()),
    )
    held = ConsolidationExamples(
        tuple(map(teacher.target_sequence, wanted.held)), tuple(map(teacher.kept_sequence, others.held))
    )
    everywhere = stack([[pipeline.registry.edit(i).deltas for i in teacher.everywhere]], model.dtype, model.device)
    with progress.stage("training", 1) as stage:
        passes.ensure([*examples.said, *examples.kept])
        start = covariance_factors(passes, names, options.rank, examples)
        return Consolidation(passes, config, everywhere, stage.advance).train(start, examples, held)


def _prompts(teacher: Teacher, progress: ProgressReporter) -> tuple[list[TeacherPrompt], list[TeacherPrompt]]:
    """Those that the edits are about, and others."""
    n = len(teacher.requests)
    with progress.stage("wordings of the edits", n) as stage:
        wanted = teacher.edit_prompts(stage.advance)
    with progress.stage("prompts that no edit is about", n) as stage:
        return wanted, teacher.other_prompts(stage.advance)


def _split(
    wanted: Sequence[TeacherPrompt], others: Sequence[TeacherPrompt], sample: int, seed: int
) -> tuple[PromptSplit, PromptSplit]:
    """Own inputs and user's rephrases are trained and judged; made wordings and other prompts are one or the other."""
    rng = random.Random(seed)
    given = [one for one in wanted if one.kind != "wording"]
    made, left = [one for one in wanted if one.kind == "wording"], list(others)
    rng.shuffle(made)
    rng.shuffle(left)
    wordings, rest = _divided(made, sample), _divided(left, sample)
    own, rephrases = ([one for one in given if one.kind == kind] for kind in ("input", "rephrase"))
    sampled = [*rng.sample(own, min(sample, len(own))), *rng.sample(rephrases, min(sample, len(rephrases)))]
    return (
        PromptSplit((*given, *wordings.training), (*wordings.held, *sampled[:HELD]), (*sampled, *wordings.judged)),
        rest,
    )


def _divided(prompts: Sequence[TeacherPrompt], sample: int) -> PromptSplit:
    """An eighth is held, a sixth judged, at most."""
    held = prompts[: min(HELD, max(1, len(prompts) // 8))]
    judged = prompts[len(held) : len(held) + min(sample, max(1, len(prompts) // 6))]
    return PromptSplit(tuple(prompts[len(held) + len(judged) :]), tuple(held), tuple(judged))

"""Runs an evaluation on a service of its own, in this process, on an empty home beside the real one's model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from editing.data.datasets import open_examples, tell_skipped
from editing.data.facts import Example
from service.app import build_pipeline
from service.evaluation.editing.baselines import build_baseline
from service.evaluation.editing.evaluator import Evaluation, EvaluationPlan, UneditedAnswers
from service.evaluation.editing.journal import EvaluationJournal
from service.evaluation.editing.methods import EditingMethod, EditorMethod, ServiceMethod
from service.evaluation.editing.plots import draw
from service.evaluation.editing.report import DRIFT_TARGET, TARGETS, summary, tables
from service.evaluation.editing.teacher_forcing import TeacherForcingProbe, passages_of
from service.pipeline import Pipeline
from service.settings import Settings

Sets = Mapping[str, Sequence[Example]]
_BACKGROUND = 60  # training examples for baselines that want some
_WAIT = 60.0  # seconds for the index to open


@dataclass(frozen=True)
class EvaluationOptions:
    """What the command was asked for.

    Attributes:
        edits: from each set of examples.
        passages: how many drift is measured on; 0 leaves it out.
        long_answers: edits whose subject is also told about at length, for fluency.
    """

    edits: int = 50
    cumulative: bool = False
    baselines: tuple[str, ...] = ()
    seed: int = 2026
    passages: int = 24
    long_answers: int = 10


def evaluate_command(
    data: Path, choices: EvaluationOptions, json_file: Path | None = None, image: Path | None = None
) -> None:
    """Judge edits of unseen subjects and of unseen relations; print tables, write JSON and plots.

    Beside the JSON file, ``….edits.jsonl`` holds every prompt and answer; a run that was interrupted goes on from it.
    """
    dataset = open_examples(data)
    tell_skipped(dataset)
    sets = dataset.evaluation(choices.edits, choices.seed)
    with scratch_service() as served:
        run = {"model": served.base.digest, "editor": served.editor and served.editor.digest, "data": str(data)}
        settings = {**vars(choices), "baselines": list(choices.baselines)}
        notes = EvaluationJournal(
            json_file and json_file.with_suffix(".edits.jsonl"),
            {**run, **settings, "sets": {name: len(examples) for name, examples in sets.items()}},
        )
        plan = _plan(choices, served)
        subjects: list[EditingMethod] = [
            ServiceMethod(served),
            *_baselines(choices, served, lambda: dataset.training(_BACKGROUND)),
        ]
        _judge(EvaluationRun(served, sets, plan, notes), subjects)
    found = {name: summary([one for s in subjects for one in notes.of(name, s.name)]) for name in sets}
    print(tables(found))
    document = {**run, **settings, "targets": {**TARGETS, "perplexity_per_cent": DRIFT_TARGET}, "sets": found}
    if json_file:
        json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if image:
        draw(found, image)
    notes.complete()


@dataclass(frozen=True)
class EvaluationRun:
    """What all subjects of a run share."""

    served: Pipeline
    sets: Sets
    plan: EvaluationPlan
    notes: EvaluationJournal
    unedited: UneditedAnswers = field(default_factory=UneditedAnswers)
    read: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def evaluation(self, subject: EditingMethod, on_step: Callable[[], None]) -> Evaluation:
        served = self.served
        probe = TeacherForcingProbe(
            served.base.model, served.prompts.encoder, served.corrector.compute, subject, self.read
        )
        return Evaluation(subject, self.plan, self.unedited, probe, on_step)


def _judge(run: EvaluationRun, subjects: Sequence[EditingMethod]) -> None:
    """Every subject on every set, with a bar that says how long it still takes."""
    with progress_bar() as bar:
        tasks = {
            (name, subject.name): bar.add_task(f"{name}, {subject.name}", total=2 * len(examples))
            for name, examples in run.sets.items()
            for subject in subjects
        }
        for name, examples in run.sets.items():
            for subject in subjects:
                task = tasks[name, subject.name]
                _judge_set(run, subject, (name, examples), lambda task=task: bar.advance(task))  # type: ignore[misc]


def _judge_set(
    run: EvaluationRun, subject: EditingMethod, named: tuple[str, Sequence[Example]], on_step: Callable[[], None]
) -> None:
    name, examples = named
    done = len(run.notes.of(name, subject.name))
    if run.plan.cumulative and done < len(examples):
        run.notes.forget(name, subject.name)
        done = 0
    for _ in range(2 * done):
        on_step()
    if done == len(examples):
        return
    for judged in run.evaluation(subject, on_step).run(examples, done):
        run.notes.add(name, judged)


def _plan(choices: EvaluationOptions, served: Pipeline) -> EvaluationPlan:
    texts = passages_of(served.library, choices.passages, choices.seed, _WAIT)
    if choices.passages and not texts:
        print(f"drift is left out, since there are no passages to read: {served.library.why_not}")
    return EvaluationPlan(choices.cumulative, passages=tuple(texts), long_answers=choices.long_answers)


def _baselines(
    choices: EvaluationOptions, served: Pipeline, background: Callable[[], Sequence[Example]]
) -> list[EditingMethod]:
    return [
        EditorMethod(name, build_baseline(name, served, background), served, joint=choices.cumulative)
        for name in choices.baselines
    ]


@contextmanager
def scratch_service(settings: Settings | None = None) -> Iterator[Pipeline]:
    """A service on an empty home that is gone afterwards; the converted model is taken from the real one."""
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="errata-", ignore_cleanup_errors=True) as scratch, ExitStack() as stack:
        for part in ("models", "indexes"):
            (chosen.directory / part).mkdir(parents=True, exist_ok=True)
            Path(scratch, part).symlink_to(chosen.directory / part)
        yield build_pipeline(chosen.model_copy(update={"home": Path(scratch)}), stack, lambda _: None)


def progress_bar() -> Any:
    """On stderr, with the time that is left; gone when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)

"""``errata evaluate``: edits of facts that the editor was not trained on, judged through a service of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from editing.data.datasets import ExampleSource, open_examples, skipped_records
from editing.data.facts import Example
from service.evaluation.active_index import sample_passages
from service.evaluation.editing.baselines import JOINT_BASELINES, build_baseline, build_joint_baseline
from service.evaluation.editing.evaluator import Evaluation, EvaluationPlan, UneditedAnswers
from service.evaluation.editing.journal import EvaluationJournal
from service.evaluation.editing.methods import EditingMethod, EditorMethod, JointMethod, ServiceMethod
from service.evaluation.editing.plots import draw
from service.evaluation.editing.report import DRIFT_TARGET, TARGETS, summary
from service.evaluation.editing.teacher_forcing import TeacherForcingProbe
from service.evaluation.scratch_service import scratch_service
from service.pipeline import Pipeline
from service.progress import ProgressReporter

_BACKGROUND = 60  # training examples for baselines that want some


@dataclass(frozen=True)
class EvaluationOptions:
    """What the command was asked for.

    Attributes:
        data: a directory of facts, or a file of examples; see ``editing.data.datasets``.
        edits: from each set of examples.
        cumulative: leave all edits in force and judge them together.
        baselines: other editors to judge beside the service; see ``BASELINES``.
        seed: of the facts and passages that are drawn.
        passages: how many drift is measured on; 0 leaves it out.
        long_answers: edits whose subject is also told about at length, for fluency.
        json_file: for the figures; beside it, ``….edits.jsonl`` holds every prompt and answer.
    """

    data: Path
    edits: int = 50
    cumulative: bool = False
    baselines: tuple[str, ...] = ()
    seed: int = 2026
    passages: int = 24
    long_answers: int = 10
    json_file: Path | None = None

    def settings(self) -> dict[str, Any]:
        """What figures depend on beside model, editor and data; it stands in the document."""
        names = ("edits", "cumulative", "baselines", "seed", "passages", "long_answers")
        return {name: getattr(self, name) for name in names} | {"baselines": list(self.baselines)}


@dataclass(frozen=True)
class EditingEvaluation:
    """What an evaluation found.

    Attributes:
        document: all figures and what they depend on.
        journal: of the run; complete once the figures are written.
    """

    document: Mapping[str, Any]
    journal: EvaluationJournal

    @property
    def sets(self) -> Mapping[str, Any]:
        return dict(self.document["sets"])

    def write(self, json_file: Path | None, image: Path | None) -> None:
        """The figures as JSON, and plots of them. Raises OSError where a file cannot be written."""
        if json_file:
            json_file.write_text(json.dumps(self.document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if image:
            draw(self.sets, image)
        self.journal.complete()


def evaluate_editing(options: EvaluationOptions, progress: ProgressReporter) -> EditingEvaluation:
    """Judge edits of unseen subjects and of unseen relations; a run that was interrupted goes on from its journal.

    Raises:
        DataError: the data cannot be read.
        EditorMismatch: a baseline needs a trained editor, and the served model has none.
        NotReady: the service cannot be built.
        OSError: the journal cannot be written.
    """
    source = open_examples(options.data)
    if skipped := skipped_records(source):
        progress.say(skipped)
    sets = source.evaluation(options.edits, options.seed)
    with scratch_service() as served:
        editor = served.editor and served.editor.digest
        run = {"model": served.base.digest, "editor": editor, "data": str(options.data), **options.settings()}
        path = options.json_file and options.json_file.with_suffix(".edits.jsonl")
        journal = EvaluationJournal(path, {**run, "sets": {name: len(examples) for name, examples in sets.items()}})
        judging = EvaluationRun(served, _plan(options, served, progress), journal)
        methods = list(methods_of(options, served, source))
        for name, examples in sets.items():
            for method in methods:
                judging.judge(name, method, examples, progress)
    found = {name: summary([one for m in methods for one in journal.of(name, m.name)]) for name in sets}
    targets = {**TARGETS, "perplexity_per_cent": DRIFT_TARGET}
    return EditingEvaluation({**run, "targets": targets, "sets": found}, journal)


@dataclass(frozen=True)
class EvaluationRun:
    """What all methods of a run share."""

    served: Pipeline
    plan: EvaluationPlan
    journal: EvaluationJournal
    unedited: UneditedAnswers = field(default_factory=UneditedAnswers)
    logits: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def judge(self, name: str, method: EditingMethod, examples: Sequence[Example], progress: ProgressReporter) -> None:
        """Judge one method on one set, as far as the journal does not have it."""
        done = len(self.journal.of(name, method.name))
        if self.plan.cumulative and done < len(examples):
            self.journal.forget(name, method.name)
            done = 0
        with progress.stage(f"{name}, {method.name}", 2 * len(examples), done=2 * done) as stage:
            if done < len(examples):
                for verdicts in self._evaluation(method, stage.advance).run(examples, done):
                    self.journal.add(name, verdicts)

    def _evaluation(self, method: EditingMethod, on_step: Callable[[], None]) -> Evaluation:
        served = self.served
        probe = TeacherForcingProbe(served.base.model, served.prompts.encoder, served.compute, method, self.logits)
        return Evaluation(method, self.plan, self.unedited, probe, on_step)


def _plan(options: EvaluationOptions, served: Pipeline, progress: ProgressReporter) -> EvaluationPlan:
    texts = sample_passages(served.index_manager, options.passages, options.seed)
    if options.passages and not texts:
        progress.say(f"drift is left out, since there are no passages to read: {served.index_manager.why_not}")
    return EvaluationPlan(options.cumulative, passages=tuple(texts), long_answers=options.long_answers)


def methods_of(options: EvaluationOptions, served: Pipeline, source: ExampleSource) -> Iterator[EditingMethod]:
    """The service first, then the baselines; cumulative edits are joined in one change by those that can."""
    yield ServiceMethod(served)
    for name in options.baselines:
        background = partial(source.training, _BACKGROUND)
        if options.cumulative and name in JOINT_BASELINES:
            yield JointMethod(name, build_joint_baseline(name, served, background), served)
        else:
            yield EditorMethod(name, build_baseline(name, served, background), served)

"""``errata train-rag``: question encoder and generator, from questions to files that can be served."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

from index.atomic_files import replace_file
from retrieval.encoders.question_encoder import TrainableEncoder
from retrieval.errors import RetrieverTrainingError
from retrieval.evaluation.nq_open import Question, QuestionSet, questions_digest
from retrieval.evaluation.recall import answerable
from retrieval.reader.card import CARD
from retrieval.training.config import TrainingConfig
from retrieval.training.mining import HardNegatives, divide, mine
from retrieval.training.run_folder import open_run
from retrieval.training.trainer import STATE, Progress, Trainer
from service.progress import ProgressReporter
from service.settings import Settings
from service.training.retriever_evaluation import RetrieverEvaluation, task_of
from service.training.retriever_parts import (
    Figures,
    RetrieverTrainingOptions,
    RetrieverTrainingParts,
    device,
    load_parts,
)

REPORT, BEFORE = "report.json", "before.json"
ENCODER, QUESTION_ENCODER, GENERATOR = "encoder", "question_encoder", "generator"
USES = {
    QUESTION_ENCODER: "; ERRATA_QUESTION_ENCODER={path} makes the service search with it, in the same index",
    ENCODER: "; no index is of it yet: ERRATA_ENCODER={path} errata index build --activate",
    GENERATOR: ", a LoRA adapter as PEFT and vLLM load it; ERRATA_READER={path} makes /ask read with it, and "
    "'errata examine-reader … --reader {path} --write' measures when it should not answer",
}
_LIBRARIES = ("torch", "transformers", "sentence-transformers", "faiss-cpu", "numpy")
_LINES = 10  # lines of a run that are printed above the bar


def train_retriever(
    inputs: RetrieverTrainingOptions,
    out: Path,
    config: TrainingConfig,
    settings: Settings,
    resume: bool,
    progress: ProgressReporter,
) -> dict[str, Any]:
    """Train, judge before and after, and write the trained parts and ``report.json``; a killed run can be resumed.

    Returns:
        The report; of a run that is finished, the one that it wrote.

    Raises:
        CorpusError: the questions cannot be read, or none has an answer.
        RetrieverTrainingError: the index answers none of them, or ``out`` holds something else.
        UnknownIndex, IndexMismatch: there is no such version, or it is of another encoder.
        EncoderError, AdapterError, ModelUnavailable: a model cannot be loaded.
    """
    parts = load_parts(inputs, config, settings)
    with open_run(out, asdict(config) | parts.made_from(inputs, settings), resume):
        if not (out / REPORT).is_file():
            report = _train(parts, out, config, progress)
            replace_file(out / REPORT, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
            (out / STATE).unlink(missing_ok=True)
        written: dict[str, Any] = json.loads((out / REPORT).read_bytes())
        return written


def _train(parts: RetrieverTrainingParts, out: Path, config: TrainingConfig, progress: ProgressReporter) -> Figures:
    """The report of the run; the trained parts are written."""
    began, index = time.time(), parts.index.manifest.version
    encoder = parts.encoder.trainable("documents" if config.sides == "both" else "questions", device())
    with progress.stage("questions", 1):
        questions = _DividedQuestions.of(parts, config)
    mined, judged = questions.mined, questions.judged
    progress.say(f"{len(mined)} questions to train on, {len(judged)} to judge by; index {index}")
    evaluation = RetrieverEvaluation(parts, encoder, config, mined, judged)
    with progress.stage("before", evaluation.steps) as stage:
        before = _kept(out / BEFORE, partial(evaluation.figures, stage.advance))
    trainer = Trainer(task_of(parts, encoder, config, mined), config, out)
    _run(trainer, progress)
    with progress.stage("after", evaluation.steps) as stage:
        after = evaluation.figures(stage.advance)
    return {
        "format": 1,
        "config": asdict(config),
        "questions": questions.counts(parts.given),
        "index": index,
        "document_encoder": asdict(parts.encoder.identity),
        "generator": parts.base,
        "written": _write(parts, encoder, config, out),
        "before": before,
        "after": after,
        "losses": [round(loss, 5) for loss in trainer.losses],
        "seconds": round(time.time() - began),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


@dataclass(frozen=True)
class _DividedQuestions:
    """The questions of a run that can be read whole.

    Attributes:
        train, held_out: all of them.
        mined: those to train on whose answer was found, with passages that do and do not answer.
        judged: those held out whose answer stands anywhere in the index.
    """

    train: Sequence[Question]
    held_out: Sequence[Question]
    mined: Sequence[HardNegatives]
    judged: Sequence[Question]

    @classmethod
    def of(cls, parts: RetrieverTrainingParts, config: TrainingConfig) -> _DividedQuestions:
        """Raises RetrieverTrainingError: there is nothing to train on, or to judge by."""
        train, held_out = divide(parts.usable(), config.held_out, config.seed)
        return cls(train, held_out, _mined(parts, config, train), _judged(parts, held_out))

    def counts(self, given: QuestionSet) -> Figures:
        """How many questions there were, and what became of them."""
        return {
            "digest": questions_digest(given.questions),
            "given": len(given.questions),
            "without_answer": given.without_answer,
            "repeated": given.repeated,
            "too_long": len(given.questions) - len(self.train) - len(self.held_out),
            "train": len(self.mined),
            "train_not_found": len(self.train) - len(self.mined),
            "held_out": len(self.judged),
            "held_out_not_in_index": len(self.held_out) - len(self.judged),
        }


def _mined(parts: RetrieverTrainingParts, config: TrainingConfig, train: Sequence[Question]) -> list[HardNegatives]:
    negatives = config.negatives if config.objective == "contrastive" else 0
    mined = mine(parts.index, train, parts.search(train, config.depth), negatives)
    if not mined:
        name, depth = parts.index.manifest.version, config.depth
        why = f"none has an answer among its {depth} best passages of the index {name}"
        raise RetrieverTrainingError(
            f"of {len(train)} questions to train on, {why}; give questions that it answers, or --depth"
        )
    return mined


def _judged(parts: RetrieverTrainingParts, held_out: Sequence[Question]) -> list[Question]:
    """Those whose answer stands anywhere in the index."""
    found = answerable(held_out, parts.index.passages)
    judged = [question for question, there in zip(held_out, found, strict=True) if there]
    if not judged:
        why = f"none of the {len(held_out)} questions held out is answered by the index"
        raise RetrieverTrainingError(
            f"{why} {parts.index.manifest.version}; give more questions, or a larger --held-out"
        )
    return judged


def _run(trainer: Trainer, progress: ProgressReporter) -> None:
    """Train to the end, with a line now and then about loss and speed."""
    every, rates = max(1, trainer.steps // _LINES), list[float]()
    with progress.stage("training", trainer.steps, "steps", trainer.step) as stage:
        if trainer.step:
            progress.say(f"going on after step {trainer.step}")

        def on_step(made: Progress) -> None:
            stage.advance()
            rates.append(made.rate)
            if made.step % every == 0 or made.step == made.steps:
                loss = mean(trainer.losses[-every:])
                rate = mean(rates[-every:])
                progress.say(f"step {made.step} of {made.steps}: loss {loss:.4f}, {rate:.2g} questions/s")

        trainer.run(on_step)


def _kept(path: Path, figures: Callable[[], Figures]) -> Figures:
    """Figures of the untrained parts, computed once for a run."""
    if not path.is_file():
        replace_file(path, json.dumps(figures()).encode())
    kept: Figures = json.loads(path.read_bytes())
    return kept


def _write(parts: RetrieverTrainingParts, encoder: TrainableEncoder, config: TrainingConfig, out: Path) -> list[str]:
    """The trained parts, and their folders' names."""
    written = []
    if config.sides == "both" and parts.generator is None:
        encoder.save(out / ENCODER, None)
        written.append(ENCODER)
    elif config.freeze != "encoder":
        encoder.save(out / QUESTION_ENCODER, parts.encoder.identity)
        written.append(QUESTION_ENCODER)
    if parts.generator and parts.generator.lora and parts.generator.trained:
        parts.generator.lora.save(out / GENERATOR, str(parts.base and parts.base["name"]))
        if parts.card:
            training = {"config": asdict(config), "index": parts.index.manifest.version}
            card = replace(parts.card, training={**training, "questions": questions_digest(parts.given.questions)})
            replace_file(out / GENERATOR / CARD, card.to_json().encode())
        written.append(GENERATOR)
    return written

"""``errata train-reader``: from an index and questions to a reader that can be served."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from editing.data.facts import Fact, read_facts, relation_questions
from editing.model.prompts import PromptEncoder
from errata.files import file_digest
from errata.journal import read_journal, replace_journal
from index.atomic_files import replace_file
from index.versions.passage_index import PassageIndex
from retrieval.encoders.encoder import Encoder
from retrieval.evaluation.nq_open import read_question_set
from retrieval.reader.card import CARD, ReaderCard, Thresholds
from retrieval.reader.lora import Lora
from retrieval.training.config import TrainingConfig
from retrieval.training.known_questions import (
    AnnotatedQuestionSet,
    StatedFact,
    made_from_facts,
    made_from_passages,
    part_of,
    placed,
    searching,
)
from retrieval.training.reading import ReadingTask
from retrieval.training.run_folder import open_run
from retrieval.training.trainer import Progress, Trainer
from retrieval.training.training_set import AnnotatedQuestion, ReadingExampleBuilder
from service.engines.model_loader import LoadedModel, load_base_model
from service.progress import ProgressReporter
from service.settings import Settings
from service.training.retriever_parts import open_active

SHARES = {"made": 0.55, "fact": 0.1, "asked": 0.17, "unanswerable": 0.18}  # of the examples, by their first question
READER, KNOWN = "reader", "known.jsonl"
UNMEASURED = Thresholds(0.5, 0.1), Thresholds(0.5, 0.1), 0.05  # until a reader has been examined


@dataclass(frozen=True)
class ReaderTrainingOptions:
    """What a reader is trained from.

    Attributes:
        questions: files in the form of NQ-open; six tenths are trained on, two choose thresholds, two are left alone.
        facts: JSON lines ``{"relation", "subject", "object"}``; None: no such questions.
        index: the version; None: the active one.
    """

    questions: tuple[Path, ...]
    facts: Path | None = None
    index: str | None = None


@dataclass(frozen=True, eq=False)
class _Parts:
    base: LoadedModel
    encoder: Encoder
    index: PassageIndex
    prompts: PromptEncoder

    def prompt(self, text: str) -> tuple[int, ...]:
        return self.prompts.prompt(text, raw=False)

    def answer(self, text: str) -> tuple[int, ...]:
        return self.prompts.target(text, spaced=not self.prompts.has_template)


def train_reader(
    inputs: ReaderTrainingOptions,
    out: Path,
    config: TrainingConfig,
    settings: Settings,
    resume: bool,
    progress: ProgressReporter,
) -> Path:
    """Train a reader and write it into ``out``; a killed run can be resumed.

    Returns:
        The reader's folder. Its thresholds are not measured yet; see ``service.evaluation.reader``.

    Raises:
        CorpusError: questions cannot be read.
        DataError: facts cannot be read.
        RetrieverTrainingError: ``out`` holds something else.
        UnknownIndex, IndexMismatch, EncoderError, ModelUnavailable: an index or a model cannot be opened.
    """
    torch.set_num_threads(settings.compute_threads)
    facts = read_facts(inputs.facts) if inputs.facts else []
    base = load_base_model(settings.model, settings.directory, settings.dtype)
    encoder = Encoder.load(settings.encoder, questions=settings.question_encoder)
    parts = _Parts(base, encoder, open_active(settings, inputs.index, encoder), PromptEncoder(base.tokenizer))
    sources = {
        "model": base.digest,
        "index": parts.index.manifest.version,
        "encoder": encoder.digest,
        "questions": [file_digest(path) for path in inputs.questions],
        "facts": file_digest(inputs.facts) if inputs.facts else None,
    }
    with open_run(out, asdict(config) | sources, resume):
        questions = _questions(parts, facts, _asked(parts, inputs.questions), out / KNOWN, progress)
        lora, losses = _train(parts, questions, config, out, progress)
        lora.half().save(out / READER, base.name)
        training = _training(config, sources, losses)
        card = ReaderCard(f"reader of {base.name}", base.digest, *UNMEASURED, training=training)
        replace_file(out / READER / CARD, card.to_json().encode())
    return out / READER


def _asked(parts: _Parts, files: Iterable[Path]) -> AnnotatedQuestionSet:
    questions = read_question_set(files).questions
    return AnnotatedQuestionSet([one for one in questions if part_of(one.text) == "train"], parts.index, parts.encoder)


def _questions(
    parts: _Parts, facts: Sequence[Fact], asked: AnnotatedQuestionSet, kept: Path, progress: ProgressReporter
) -> list[AnnotatedQuestion]:
    """All questions to train on. Those that are made take minutes to search for, and are kept for a resumed run."""
    if not kept.is_file():
        with progress.stage("questions", 1):
            replace_journal(kept, map(asdict, _made(parts, facts)))
    made = [AnnotatedQuestion(*map(_tuples, one.values())) for one in read_journal(kept)]  # by place, not by name
    unanswerable = [replace(one, kind="unanswerable") for one in asked.unanswerable]
    progress.say(f"questions: {len(made)} made, {len(asked.answerable)} answerable, {len(unanswerable)} unanswerable")
    return [*made, *asked.answerable, *unanswerable]


def _made(parts: _Parts, facts: Sequence[Fact]) -> list[AnnotatedQuestion]:
    """Questions made from passages and facts, with what is found for them."""
    passages, search = list(parts.index.passages), searching(parts.index, parts.encoder)
    stated = [StatedFact(fact.relation, fact.subject, fact.object) for fact in facts]
    of_facts = list(made_from_facts(stated, relation_questions(), passages))
    return [*placed(list(made_from_passages(passages)), "made", search), *placed(of_facts, "fact", search)]


def _tuples(value: Any) -> Any:
    """JSON knows lists only."""
    return tuple(value) if isinstance(value, list) else value


def _train(
    parts: _Parts, questions: Sequence[AnnotatedQuestion], config: TrainingConfig, out: Path, progress: ProgressReporter
) -> tuple[Lora, list[float]]:
    kinds = {one.kind for one in questions}
    shares = {kind: share for kind, share in SHARES.items() if kind in kinds}
    builder = ReadingExampleBuilder(list(parts.index.passages), questions, shares, config.seed)
    lora = Lora.of_top_layers(parts.base.model, config.layers, config.rank, config.seed)
    task = ReadingTask(parts.base.model, lora, builder, parts.prompt, parts.answer, config.batch * config.steps)
    trainer = Trainer(task, config, out)
    with progress.stage("training", trainer.steps, "steps", trainer.step) as stage:

        def on_step(made: Progress) -> None:
            stage.advance()
            if made.step % 10 == 0 or made.step == made.steps:
                loss = mean(trainer.losses[-10:])
                progress.say(f"step {made.step} of {made.steps}: loss {loss:.3f}, {made.rate:.2f} examples/s")

        trainer.run(on_step)
    return lora, trainer.losses


def _training(config: TrainingConfig, sources: Mapping[str, Any], losses: Sequence[float]) -> dict[str, Any]:
    return {
        **sources,
        "config": asdict(config),
        "loss": round(mean(losses[-50:]), 4),
        "made_at": time.strftime("%Y-%m-%d"),
        "libraries": {name: version(name) for name in ("torch", "transformers")},
    }

"""``errata train-reader``: from an index and questions to a reader that can be served."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from editing.model.prompts import PromptEncoder
from index.atomic_files import file_digest, replace_file
from index.errors import CorpusError
from index.versions.opened import PassageIndex
from retrieval.encoders.encoder import Encoder
from retrieval.evaluation.nq_open import read_question_set
from retrieval.reader.card import CARD, ReaderCard, Thresholds
from retrieval.reader.known_questions import (
    AnnotatedQuestionSet,
    StatedFact,
    made_from_facts,
    made_from_passages,
    part_of,
    placed,
    searching,
)
from retrieval.reader.lora import Lora
from retrieval.reader.training_set import AnnotatedQuestion, ReadingExampleBuilder
from retrieval.training.reading import ReadingTask
from retrieval.training.run_folder import open_run
from retrieval.training.trainer import Progress, Trainer, TrainingConfig
from service.cli.terminal.stages import Stages
from service.engines.model_loader import LoadedModel, load_base_model
from service.evaluation.reader.run import ReaderEvaluationOptions, examine_reader_command
from service.settings import Settings
from service.training.retriever_parts import open_active

SHARES = {"made": 0.55, "fact": 0.1, "asked": 0.17, "asked in vain": 0.18}  # of the lessons, by what they begin with
READER, KNOWN, STATE_OF = "reader", "known.jsonl", "run"
_WORDINGS = Path(__file__).parents[2] / "editing" / "data" / "questions.json"
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


def train_reader_command(
    inputs: ReaderTrainingOptions, out: Path, config: TrainingConfig, settings: Settings, resume: bool
) -> None:
    """Train a reader, write it to ``out/reader``, and measure its thresholds; a killed run can be resumed.

    Raises:
        CorpusError: questions or facts cannot be read.
        TrainingError: ``out`` holds something else.
        UnknownIndex, IndexMismatch, EncoderError, ModelUnavailable: an index or a model cannot be opened.
    """
    torch.set_num_threads(settings.compute_threads)
    facts = _facts(inputs.facts)
    base = load_base_model(settings.model, settings.directory, settings.dtype)
    encoder = Encoder.load(settings.encoder, questions=settings.question_encoder)
    parts = _Parts(base, encoder, open_active(settings, inputs.index, encoder), PromptEncoder(base.tokenizer))
    made_of = {
        "model": base.digest,
        "index": parts.index.manifest.version,
        "encoder": encoder.digest,
        "questions": [file_digest(path) for path in inputs.questions],
        "facts": file_digest(inputs.facts) if inputs.facts else None,
    }
    with open_run(out, asdict(config) | made_of, resume), Stages() as stages:
        known = _known(parts, facts, _asked(parts, inputs.questions), out / KNOWN, stages)
        lora, losses = _train(parts, known, config, out, stages)
        lora.half().save(out / READER, base.name)
        card = ReaderCard(
            f"reader of {base.name}", base.digest, *UNMEASURED, training=_training(config, made_of, losses)
        )
        replace_file(out / READER / CARD, card.to_json().encode())
    examine_reader_command(
        inputs.questions, ReaderEvaluationOptions(write=True), settings.model_copy(update={"reader": str(out / READER)})
    )
    print(f"{out / READER} is made; ERRATA_READER={out / READER} makes the service read with it")


def _asked(parts: _Parts, files: Iterable[Path]) -> AnnotatedQuestionSet:
    questions = read_question_set(files).questions
    return AnnotatedQuestionSet([one for one in questions if part_of(one.text) == "train"], parts.index, parts.encoder)


def _known(
    parts: _Parts, facts: Sequence[StatedFact], asked: AnnotatedQuestionSet, kept: Path, stages: Stages
) -> list[AnnotatedQuestion]:
    """All questions to train on. Those that are made take minutes to search for, and are kept for a resumed run."""
    if not kept.is_file():
        passages, search = list(parts.index.passages), searching(parts.index, parts.encoder)
        with stages.stage("questions", 1):
            made = placed(list(made_from_passages(passages)), "made", search)
            wordings = json.loads(_WORDINGS.read_text(encoding="utf-8"))
            stated = list(made_from_facts(facts, wordings, passages))
            made += placed(stated, "fact", search)
        replace_file(kept, "".join(json.dumps(asdict(one)) + "\n" for one in made).encode())
    lines = map(json.loads, kept.read_text(encoding="utf-8").splitlines())
    made = [AnnotatedQuestion(**{name: _tuples(value) for name, value in line.items()}) for line in lines]
    vain = [AnnotatedQuestion(**{**vars(one), "kind": "asked in vain"}) for one in asked.in_vain]
    stages.say(f"{len(made)} questions made, {len(asked.told)} asked and told, {len(vain)} asked in vain")
    return [*made, *asked.told, *vain]


def _facts(path: Path | None) -> list[StatedFact]:
    """Raises CorpusError, naming file and line, where there is no file or a line is no fact."""
    facts: list[StatedFact] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines() if path else ():
            entry = json.loads(line)
            facts.append(StatedFact(*(str(entry[name]) for name in ("relation", "subject", "object"))))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(path or "", f"no facts can be read: {error!r}", f"line {len(facts) + 1}") from error
    return facts


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _train(
    parts: _Parts, known: Sequence[AnnotatedQuestion], config: TrainingConfig, out: Path, stages: Stages
) -> tuple[Lora, list[float]]:
    kinds = {one.kind for one in known}
    shares = {kind: share for kind, share in SHARES.items() if kind in kinds}
    maker = ReadingExampleBuilder(list(parts.index.passages), known, shares, config.seed)
    lora = Lora.of_top_layers(parts.base.model, config.layers, config.rank, config.seed)
    task = ReadingTask(parts.base.model, lora, maker, parts.prompt, parts.answer, config.batch * config.steps)
    trainer = Trainer(task, config, out)
    with stages.stage("training", trainer.steps) as advance:
        advance(trainer.step)

        def on_step(made: Progress) -> None:
            advance(1)
            if made.step % 10 == 0 or made.step == made.steps:
                loss = mean(trainer.losses[-10:])
                stages.say(f"step {made.step} of {made.steps}: loss {loss:.3f}, {made.rate:.2f} lessons/s")

        trainer.run(on_step)
    return lora, trainer.losses


def _training(config: TrainingConfig, made_of: Mapping[str, Any], losses: Sequence[float]) -> dict[str, Any]:
    return {
        **made_of,
        "config": asdict(config),
        "loss": round(mean(losses[-50:]), 4),
        "made_at": time.strftime("%Y-%m-%d"),
        "libraries": {name: version(name) for name in ("torch", "transformers")},
    }

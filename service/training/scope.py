"""``errata train-scope``: the model that decides which prompts an edit concerns, from people's corrections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from editing.data.corrections import OWN, read_corrections
from editing.data.datasets import FactDirectory
from editing.data.facts import Example
from editing.data.messages import read_messages
from editing.scope.cross_encoder import Kind
from editing.scope.model import ScopeModel, embeddings_digest, open_encoder
from editing.training.scope_pairs import CorrectionPairs, FactPairs, IntentPairs
from editing.training.train_scope import PairSource, ScopeScores, ScopeTrainer, ScopeTrainingConfig
from retrieval.encoders.encoder import ENCODER_NAME, Encoder, locate_encoder
from service.progress import ProgressReporter
from service.settings import Settings

LEAST = 10  # corrections of other languages, for a source of their own


@dataclass(frozen=True)
class ScopeTrainingOptions:
    """What the command was asked for.

    Attributes:
        corrections: files and folders of them, beside the project's own.
        messages: files of messages by intent.
        facts: a directory of facts, see ``editing.data.datasets``; None: none.
        start: a checkpoint to go on from; None: the sentence encoder.
        out: the checkpoint's directory; the run's state is beside it, with the ending ``.run``.
    """

    corrections: Sequence[Path]
    messages: Sequence[Path]
    facts: Path | None
    out: Path
    start: Path | None = None
    config: ScopeTrainingConfig = field(default_factory=ScopeTrainingConfig)


def train_scope(options: ScopeTrainingOptions, settings: Settings, progress: ProgressReporter) -> dict[str, float]:
    """Train, calibrate on the corrections kept back, and write a checkpoint; an interrupted run goes on.

    Returns:
        Which share of the prompts kept back is in scope, by kind.

    Raises:
        DataError: the data cannot be read.
        EditorTrainingError: the run's state is of another configuration.
        EncoderError: the encoder that the model starts from is not there.
    """
    torch.set_num_threads(settings.compute_threads)
    network, pairs = open_encoder(locate_encoder())
    if options.start:
        network.load(options.start / "model.safetensors")
    every = read_corrections([OWN, *options.corrections])
    kept = [correction for correction in every if correction.kept_back]
    progress.say(f"{len(every) - len(kept)} corrections to train on, {len(kept)} kept back; embedding takes a while …")
    run = options.out.with_name(f"{options.out.name}.run")
    trainer = ScopeTrainer(network, pairs, _sources(options, Encoder.load(None)), options.config, run)
    with progress.stage("training", options.config.steps, "steps", trainer.step) as stage:
        trainer.run(lambda step, loss: stage.update(step, note=f"loss {loss:.3f}"))
    judged = ScopeScores.of(ScopeModel(network, pairs, (0.0,) * len(Kind)), kept)
    thresholds = judged.thresholds()
    rates = judged.rates(thresholds)
    options.out.mkdir(parents=True, exist_ok=True)
    network.save(options.out / "model.safetensors", {})
    description = {
        "name": "scope-minilm-l6",
        "encoder_name": ENCODER_NAME,
        "encoder": embeddings_digest(network),
        "thresholds": {kind.name.lower(): thresholds[kind] for kind in Kind if kind},
        "training": asdict(options.config) | {"corrections": len(every) - len(kept)},
        "kept_back": {"corrections": len(kept), "in_scope": rates},
    }
    (options.out / "config.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return rates


def _sources(options: ScopeTrainingOptions, encoder: Encoder) -> list[tuple[PairSource, float]]:
    """English corrections mostly; other languages, messages by intent and facts in a tenth or so each."""
    known = [c for c in read_corrections([OWN, *options.corrections]) if not c.kept_back]
    foreign = [c for c in known if c.language != "en"]
    rest: list[tuple[PairSource, float]] = []
    if len(foreign) >= LEAST:
        rest.append((CorrectionPairs(foreign, encoder.encode), 0.08))
    each = 0.13 / max(1, len(options.messages))
    rest += [(IntentPairs(read_messages(path), encoder.encode), each) for path in options.messages]
    if options.facts:
        rest.append((FactPairs([_fact(example) for example in FactDirectory(options.facts).scope().trained]), 0.13))
    english = CorrectionPairs([c for c in known if c.language == "en"], encoder.encode)
    return [(english, 1 - sum(share for _, share in rest)), *rest]


def _fact(example: Example) -> tuple[str, str, list[str], list[str]]:
    same = [view.text for view in (*example.chat, *example.statements)]
    other = [view.text for view in (*example.same_subject, *example.same_relation, *example.unrelated)]
    return example.edit.text, example.target, same, other

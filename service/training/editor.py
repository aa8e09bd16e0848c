"""``errata train``: editor network and scope head for the served model, from data to checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from editing.data.datasets import ExampleSource, open_examples, skipped_records
from editing.data.facts import Example
from editing.editors.checkpoint import save_editor
from editing.editors.layers import whole_blocks
from editing.editors.mend import Polish
from editing.model.encoders import encoder_for
from editing.scope.head import ScopeHead
from editing.training.batch import BatchBuilder
from editing.training.train import EditorTrainer, EditorTrainingConfig
from editing.training.train_scope import (
    calibrate,
    error_rates,
    own_pairs,
    probes_of,
    texts_of,
    train_scope,
    vectors_of,
    wide_pairs,
)
from retrieval.encoders.encoder import Encoder
from service.bootstrap import vectoriser
from service.engines.model_loader import LoadedModel, load_base_model
from service.progress import ProgressReporter
from service.settings import Settings
from service.training.curves import draw_curves

ErrorRates = dict[str, dict[str, float]]  # of the scope decision, by name of the examples it was judged on


@dataclass(frozen=True)
class EditorTrainingOptions:
    """What the command was asked for.

    Attributes:
        data: a directory of facts, or a file of examples; see ``editing.data.datasets``.
        out: the checkpoint's directory.
        facts: training examples from ParaRel, or from the file.
        workdir: state, log and curves of the run; None: ``out`` with the ending ``.run``.
        layers: how many layers are edited, the uppermost ones.
        modules: which of their linear layers, by the endings of their names; those of the feed-forward block if empty.
        config: of the run; the layers in it are those of the model that is served.
    """

    data: Path
    out: Path
    facts: int = 2400
    workdir: Path | None = None
    layers: int = 3
    modules: tuple[str, ...] = ()
    config: EditorTrainingConfig = field(default_factory=EditorTrainingConfig)

    @property
    def run_folder(self) -> Path:
        return self.workdir or self.out.with_name(f"{self.out.name}.run")


def train_editor(options: EditorTrainingOptions, settings: Settings, progress: ProgressReporter) -> ErrorRates:
    """Train, calibrate and write a checkpoint; an interrupted run goes on where it stopped.

    Returns:
        The error rates of the scope decision.

    Raises:
        DataError: the data cannot be read, or are too few for a scope head.
        EditorTrainingError: the examples are too few, or the run's state is of another configuration.
        ModelUnavailable, EncoderError: a model cannot be loaded.
    """
    source = open_examples(options.data)
    if skipped := skipped_records(source):
        progress.say(skipped)
    drawn = source.training(options.facts)
    torch.set_num_threads(settings.compute_threads)
    base = load_base_model(settings.model, settings.directory, settings.dtype)
    trainer = _trainer(base, drawn, options, progress)
    _train(trainer, progress)
    options.out.mkdir(parents=True, exist_ok=True)
    draw_curves(options.run_folder / "log.csv", options.out / "curves.png")
    encoder = Encoder.load(settings.encoder)
    head, rates = _scope_of_run(options.run_folder, source, vectoriser(encoder), progress)
    description = {
        "name": f"mend-{settings.model.rsplit('/', 1)[-1]}",
        "base_model": base.digest,
        "base_name": base.name,
        "polish": asdict(Polish()),
        "training": asdict(trainer.config) | {"facts": options.facts, "examples": len(trainer.examples)},
        "scope": {"encoder": encoder.name, "encoder_digest": encoder.digest, "error_rates": rates},
    }
    save_editor(options.out, trainer.editor, head, description)
    return rates


def _trainer(
    base: LoadedModel, drawn: Sequence[Example], options: EditorTrainingOptions, progress: ProgressReporter
) -> EditorTrainer:
    """The run on the examples that fit."""
    base.model.to("cuda" if torch.cuda.is_available() else "cpu")
    batches = BatchBuilder(encoder_for(base.model, base.tokenizer))
    if options.modules:
        first, endings = max(0, int(base.model.config.num_hidden_layers) - options.layers), options.modules
    else:
        first, endings = whole_blocks(base.model, options.layers)
    examples = [example for example in drawn if batches.fits(example)]
    progress.say(f"{len(examples)} training examples, {len(drawn) - len(examples)} too long and left out")
    config = replace(options.config, first_layer=first, modules=endings)
    return EditorTrainer(base.model, batches, examples, config, options.run_folder)


def _train(trainer: EditorTrainer, progress: ProgressReporter) -> None:
    steps = trainer.config.steps
    with progress.stage("training", steps, "steps", min(trainer.step, steps)) as stage:
        trainer.run(lambda step, figures: stage.update(step, note=f"loss {figures['loss']:.3f}"))
    if trainer.skipped:
        progress.say(f"{trainer.skipped} steps gave no finite gradient and were left out")


def _scope_of_run(
    run: Path, source: ExampleSource, vectorise: Any, progress: ProgressReporter
) -> tuple[ScopeHead, ErrorRates]:
    """The scope head of this run, trained if that was not done yet."""
    weights, figures = run / "scope.safetensors", run / "scope.json"
    if not figures.exists():
        progress.say("training the scope head …")
        run.mkdir(parents=True, exist_ok=True)
        head, rates = fit_scope(source, vectorise, progress)
        head.save(weights)
        figures.write_text(json.dumps(rates), encoding="utf-8")
    return ScopeHead.load(weights), json.loads(figures.read_text(encoding="utf-8"))


def fit_scope(source: ExampleSource, vectorise: Any, progress: ProgressReporter) -> tuple[ScopeHead, ErrorRates]:
    """Train the scope head, calibrate it on dev subjects, and judge it on examples that it was not trained on."""
    drawn = source.scope()
    own, wide = own_pairs(drawn.own), wide_pairs(drawn.wide)
    texts = [text for pair in (*own, *wide) for text in (pair.edit, pair.prompt)]
    texts += [text for examples in drawn.judged.values() for text in texts_of(examples)]
    progress.say(f"{len(own)} and {len(wide)} pairs of {len(set(texts))} texts; embedding takes a while …")
    vectors = vectors_of(texts, vectorise)
    head = train_scope(own, wide, vectors, on_epoch=lambda epoch, loss: progress.say(f"epoch {epoch}: loss {loss:.4f}"))
    probes = {name: probes_of(head, examples, vectors) for name, examples in drawn.judged.items()}
    head.threshold = calibrate(probes["dev"])
    return head, {name: error_rates(found, head.threshold) for name, found in probes.items()}

"""``errata train``: an editor network for the served model, from data to checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from editing.data.datasets import open_examples, skipped_records
from editing.data.facts import Example
from editing.editors.checkpoint import save_editor
from editing.editors.layers import whole_blocks
from editing.editors.mend import Polish
from editing.model.encoders import encoder_for
from editing.training.batch import BatchBuilder
from editing.training.train import EditorTrainer, EditorTrainingConfig
from service.engines.model_loader import LoadedModel, load_base_model
from service.progress import ProgressReporter
from service.settings import Settings
from service.training.curves import draw_curves


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


def train_editor(options: EditorTrainingOptions, settings: Settings, progress: ProgressReporter) -> None:
    """Train and write a checkpoint; an interrupted run goes on where it stopped.

    Raises:
        DataError: the data cannot be read.
        EditorTrainingError: the examples are too few, or the run's state is of another configuration.
        ModelUnavailable: the model cannot be loaded.
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
    description = {
        "name": f"mend-{settings.model.rsplit('/', 1)[-1]}",
        "base_model": base.digest,
        "base_name": base.name,
        "polish": asdict(Polish()),
        "training": asdict(trainer.config) | {"facts": options.facts, "examples": len(trainer.examples)},
    }
    save_editor(options.out, trainer.editor, description)


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

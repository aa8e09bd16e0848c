"""``errata train``: editor network and scope head for the served model, from data to checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from editing.data.datasets import ExampleSource, open_examples, tell_skipped
from editing.editors.checkpoint import save_editor
from editing.editors.layers import whole_blocks
from editing.editors.polished import Polish
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
from service.engines.model_loader import LoadedModel, load_base_model
from service.settings import Settings


def train_command(
    data: Path,
    out: Path,
    *,
    facts: int = 2400,
    workdir: Path | None = None,
    layers: int = 3,
    modules: Sequence[str] = (),
    **config: Any,
) -> None:
    """Train, calibrate and write a checkpoint; an interrupted run goes on where it stopped.

    Args:
        data: a directory, see ``DataSet``, or a file in one of the formats of ``editing/data/readers.py``.
        out: the checkpoint's directory.
        facts: training examples from ParaRel, or from the file.
        workdir: state, log and curves of the run; ``out`` with the ending ``.run`` by default.
        layers: how many layers are edited, the uppermost ones.
        modules: which of their linear layers, by the endings of their names; those of the feed-forward block if empty.
        config: fields of ``EditorTrainingConfig``.

    Raises:
        DataError: the data cannot be read, or are too few for a scope head.
    """
    import torch

    from retrieval.encoders.encoder import Encoder
    from service.app import vectoriser

    dataset = open_examples(data)
    tell_skipped(dataset)
    drawn = dataset.training(facts)
    settings = Settings()
    torch.set_num_threads(settings.compute_threads)
    base = load_base_model(settings.model, settings.directory, settings.dtype)
    base.model.to("cuda" if torch.cuda.is_available() else "cpu")
    batches = BatchBuilder(encoder_for(base.model, base.tokenizer))
    first, endings = whole_blocks(base.model, layers) if not modules else (_first_layer(base, layers), tuple(modules))
    examples = [example for example in drawn if batches.fits(example)]
    print(f"{len(examples)} training examples, {len(drawn) - len(examples)} too long and left out")
    run = workdir or out.with_name(f"{out.name}.run")
    trainer = EditorTrainer(
        base.model, batches, examples, EditorTrainingConfig(first_layer=first, modules=endings, **config), run
    )
    _with_progress(trainer)
    if trainer.skipped:
        print(f"{trainer.skipped} steps gave no finite gradient and were left out")
    out.mkdir(parents=True, exist_ok=True)
    plot(run / "log.csv", out / "curves.png")
    encoder = Encoder.load(settings.encoder)
    head, rates = _scope_of_run(run, dataset, vectoriser(encoder))
    description = {
        "name": f"mend-{settings.model.rsplit('/', 1)[-1]}",
        "base_model": base.digest,
        "base_name": base.name,
        "polish": asdict(Polish()),
        "training": asdict(trainer.config) | {"facts": facts, "examples": len(examples)},
        "scope": {"encoder": encoder.name, "encoder_digest": encoder.digest, "error_rates": rates},
    }
    save_editor(out, trainer.editor, head, description)
    print(f"wrote {out}")
    print(json.dumps(rates, indent=2))


def _first_layer(base: LoadedModel, layers: int) -> int:
    return max(0, int(base.model.config.num_hidden_layers) - layers)


def _scope_of_run(run: Path, dataset: ExampleSource, vectorise: Any) -> tuple[ScopeHead, dict[str, dict[str, float]]]:
    """The scope head of this run, trained if that was not done yet."""
    weights, figures = run / "scope.safetensors", run / "scope.json"
    if not figures.exists():
        print("training the scope head …")
        run.mkdir(parents=True, exist_ok=True)
        head, rates = fit_scope(dataset, vectorise)
        head.save(weights)
        figures.write_text(json.dumps(rates), encoding="utf-8")
    return ScopeHead.load(weights), json.loads(figures.read_text(encoding="utf-8"))


def fit_scope(dataset: ExampleSource, vectorise: Any) -> tuple[ScopeHead, dict[str, dict[str, float]]]:
    """Train the scope head, calibrate it on dev subjects, and judge it on examples that it was not trained on."""
    drawn = dataset.scope()
    own, wide = own_pairs(drawn.own), wide_pairs(drawn.wide)
    texts = [text for pair in (*own, *wide) for text in (pair.edit, pair.prompt)]
    texts += [text for examples in drawn.judged.values() for text in texts_of(examples)]
    print(f"{len(own)} and {len(wide)} pairs of {len(set(texts))} texts; embedding takes a while …")
    vectors = vectors_of(texts, vectorise)
    head = train_scope(own, wide, vectors, on_epoch=lambda epoch, loss: print(f"epoch {epoch}: loss {loss:.4f}"))
    probes = {name: probes_of(head, examples, vectors) for name, examples in drawn.judged.items()}
    head.threshold = calibrate(probes["dev"])
    return head, {name: error_rates(found, head.threshold) for name, found in probes.items()}


def _with_progress(trainer: EditorTrainer) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=trainer.config.steps, completed=trainer.step)

        def on_step(step: int, figures: dict[str, float]) -> None:
            bar.update(task, completed=step, description=f"loss {figures['loss']:.3f}")

        trainer.run(on_step)


def plot(log: Path, image: Path) -> None:
    """The loss of each kind over the steps, smoothed over 25."""
    import csv

    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4))
    for axis, names in zip(
        axes, (("edit", "chat", "statement"), ("same_subject", "same_relation", "unrelated")), strict=True
    ):
        for name in names:
            values = [float(row[name]) if row[name] else float("nan") for row in rows]
            axis.plot(range(1, len(values) + 1), _smooth(values), label=name)
        axis.set(xlabel="step", ylabel="loss", yscale="log")
        axis.legend()
    figure.tight_layout()
    figure.savefig(image, dpi=120)
    pyplot.close(figure)


def _smooth(values: Sequence[float], width: int = 25) -> list[float]:
    import numpy as np

    windows = (values[max(0, i - width + 1) : i + 1] for i in range(len(values)))
    return [float(np.nanmean(w)) if not np.all(np.isnan(w)) else float("nan") for w in windows]

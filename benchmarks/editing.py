"""What training and editing cost, each beside the straightforward way, in one run.

``python -m benchmarks.editing --data ../shared/data`` prints two tables; with ``--write`` they go between the markers
in docs/benchmarks.md. Rounds of both ways alternate, since a machine's speed drifts.

Training: examples a second of ``EditorTrainer`` (a batch of different edits through per-row factors, hidden states
below the edited layers kept) against full forward passes with one edit at a time. Editing: milliseconds of one edit
against one forward and backward pass of the model over the same tokens, the gradient of the same weights.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks import document
from editing.data.datasets import FactDirectory
from editing.data.facts import Example
from editing.edit import EditRequest
from editing.editors.checkpoint import find_pretrained, load_editor
from editing.editors.mend import PolishedMend
from editing.editors.protocol import edit_one
from editing.model.passes import FullPasses
from editing.model.prompts import PromptEncoder, TargetSequence
from editing.model.sequences import edit_sequences
from editing.training.batch import BatchBuilder
from editing.training.batch_loss import BatchLoss
from editing.training.train import EditorTrainer, EditorTrainingConfig
from service.engines.model_loader import LoadedModel, load_base_model
from service.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    chosen = parser.parse_args()
    settings = Settings()
    torch.set_num_threads(settings.compute_threads)
    base = load_base_model(settings.model, settings.directory, settings.dtype)
    examples = FactDirectory(chosen.data).training(200)
    lines = [
        f"{base.name}, {base.model.dtype}, {torch.get_num_threads()} thread(s):",
        "",
        *training_table(base, examples, chosen.rounds),
        "",
        *editing_table(base, examples, chosen.rounds),
    ]
    print("\n".join(lines))
    if chosen.write:
        document.put("\n".join(lines), "editing")


def training_table(base: LoadedModel, examples: Sequence[Example], rounds: int) -> list[str]:
    """Examples a second, three ways."""
    maker = BatchBuilder(PromptEncoder(base.tokenizer))
    fitting = [example for example in examples if maker.fits(example)]
    with tempfile.TemporaryDirectory() as scratch:
        batched = EditorTrainer(
            base.model, maker, fitting, EditorTrainingConfig(normaliser_steps=0), Path(scratch, "batched")
        )
        plain = EditorTrainer(
            base.model, maker, fitting, EditorTrainingConfig(normaliser_steps=0, batch=1), Path(scratch, "one by one")
        )
        full = FullPasses(base.model)
        plain.passes, plain.judge = full, BatchLoss(full)
        size = batched.config.batch
        first, kept, straight = [], [], []
        for _ in range(rounds):
            first.append(size / timed(lambda: step(batched)))  # its sequences are new: their states are computed
            batched.step -= 1
            kept.append(size / timed(lambda: step(batched)))
            straight.append(2 / timed(lambda: steps(plain, 2)))
    ratio = [k / s for k, s in zip(kept, straight, strict=True)]
    rows = (
        ("full passes, one edit at a time", straight),
        ("batched, states not kept yet", first),
        (f"batched, states kept ({size} edits a step)", kept),
    )
    return [
        "| training | examples/s (median, range) |",
        "|---|---|",
        *(f"| {name} | {statistics.median(v):.2f} ({min(v):.2f}–{max(v):.2f}) |" for name, v in rows),
        f"| last against first | {statistics.median(ratio):.1f}× ({min(ratio):.1f}–{max(ratio):.1f}) |",
    ]


def step(trainer: EditorTrainer) -> None:
    trainer._one_step()
    trainer.step += 1


def steps(trainer: EditorTrainer, count: int) -> None:
    for _ in range(count):
        step(trainer)


def editing_table(base: LoadedModel, examples: Sequence[Example], rounds: int) -> list[str]:
    """Milliseconds of an edit, and of a forward and backward pass over the same tokens."""
    method, encoder = editor_of(base), PromptEncoder(base.tokenizer)
    own, plain = [], []
    for example in random.Random(0).sample(list(examples), 4 * rounds):
        views = edit_sequences(encoder, EditRequest(example.edit.text, example.target), 2048)
        own.append(1000 * timed(lambda v=views: edit_one(method, base.model, v)))  # type: ignore[misc]
        plain.append(1000 * timed(lambda v=views: forward_backward(base.model, method.network.names, v)))  # type: ignore[misc]
    ratio = sorted(a / b for a, b in zip(own, plain, strict=True))
    rows = (("forward and backward pass over the edit's tokens", plain), ("the edit", own))
    return [
        f"| editing ({len(own)} edits) | p50 ms | p95 ms |",
        "|---|---|---|",
        *(f"| {name} | {statistics.median(v):.0f} | {sorted(v)[int(len(v) * 0.95)]:.0f} |" for name, v in rows),
        f"| ratio of the two, edit by edit | {statistics.median(ratio):.2f} | {ratio[int(len(ratio) * 0.95)]:.2f} |",
    ]


def editor_of(base: LoadedModel) -> PolishedMend:
    found = find_pretrained(base.digest)
    if found is None:
        raise SystemExit(f"no editor is shipped for {base.name}; set ERRATA_MODEL to a model that has one")
    method = load_editor(found, base.model, base.digest).method
    assert isinstance(method, PolishedMend)
    return method


def forward_backward(model: Any, names: Sequence[str], views: Sequence[TargetSequence]) -> None:
    """−log p(target) of each view and its gradient in the weights of the named layers, as fine-tuning takes it."""
    weights = [model.get_submodule(name).weight for name in names]
    for weight in weights:
        weight.requires_grad_(True)
    try:
        for view in views:
            ids = torch.tensor(view.ids)
            logits = model(input_ids=ids[None], use_cache=False).logits[0, view.start - 1 : -1]
            loss = F.cross_entropy(logits.float(), ids[view.start :], reduction="sum")
            torch.autograd.grad(loss, weights)
    finally:
        for weight in weights:
            weight.requires_grad_(False)


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

"""Which layers, rank and loss weights: short training runs that differ in one choice, on the same batches.

``python -m benchmarks.choices --data ../shared/data --steps 80`` trains each variant anew and prints, over the last
quarter of its steps, how often the target is the likeliest under teacher forcing (``edit``, ``chat``, ``statement``)
and how many likeliest tokens of neighbouring prompts stay (``kept``). Short runs rank choices; they do not say how far
one gets.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.document import head, row
from editing.data.datasets import FactDirectory
from editing.model.encoders import encoder_for
from editing.training.batch import BatchBuilder
from editing.training.train import EditorTrainer, EditorTrainingConfig
from service.engines.model_loader import LoadedModel, load_base_model
from service.settings import Settings

SHOWN = ("edit_exact", "chat_exact", "statement_exact", "kept_top1")
WEIGHTS = EditorTrainingConfig().weights
VARIANTS: dict[str, dict[str, Any]] = {
    "layers 27–29, rank 256 (as shipped)": {},
    "rank 64": {"rank": 64},
    "layers 28–29": {"first_layer": 28},
    "layers 27–29, down_proj only": {"modules": ("mlp.down_proj",)},
    "layers 24–29, down_proj only": {"first_layer": 24, "modules": ("mlp.down_proj",)},
    "locality weighed ten times": {
        "weights": {k: w * (10 if k in list(WEIGHTS)[3:] else 1) for k, w in WEIGHTS.items()}
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the variants to run, from 0")
    chosen = parser.parse_args()
    settings = Settings()
    torch.set_num_threads(settings.compute_threads)
    base = load_base_model(settings.model, settings.directory, settings.dtype)
    print(head("choice", *SHOWN, "seconds a step"), flush=True)
    for number, (name, changes) in enumerate(VARIANTS.items()):
        if chosen.only is None or number in chosen.only:
            figures = run(base, chosen.data, EditorTrainingConfig(**{"steps": chosen.steps, "warmup": 10, **changes}))
            print(row(name, *(f"{value:.2f}" for value in figures)), flush=True)


def run(base: LoadedModel, data: Path, config: EditorTrainingConfig) -> list[float]:
    """Means over the last quarter of the steps."""
    maker = BatchBuilder(encoder_for(base.model, base.tokenizer))
    examples = [example for example in FactDirectory(data).training(300) if maker.fits(example)]
    with tempfile.TemporaryDirectory() as scratch:
        EditorTrainer(base.model, maker, examples, config, Path(scratch)).run()
        with Path(scratch, "log.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[-max(1, config.steps // 4) :]
    return [statistics.mean(float(row[name]) for row in rows if row[name]) for name in (*SHOWN, "seconds")]


if __name__ == "__main__":
    main()

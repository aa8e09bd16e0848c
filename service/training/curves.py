"""Plot of a training run of the editor."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

_PANELS = (("edit", "chat", "statement"), ("same_subject", "same_relation", "unrelated"))


def draw_curves(log: Path, image: Path) -> None:
    """The loss of each kind over the steps, smoothed over 25, from ``log.csv`` of a run into a PNG."""
    from matplotlib.figure import Figure

    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(11, 4))
    for axis, names in zip(figure.subplots(1, 2), _PANELS, strict=True):
        for name in names:
            values = [float(row[name]) if row[name] else float("nan") for row in rows]
            axis.plot(range(1, len(values) + 1), _smooth(values), label=name)
        axis.set(xlabel="step", ylabel="loss", yscale="log")
        axis.legend()
    figure.tight_layout()
    figure.savefig(image, dpi=120)


def _smooth(values: Sequence[float], width: int = 25) -> list[float]:
    import numpy as np

    windows = (values[max(0, i - width + 1) : i + 1] for i in range(len(values)))
    return [float(np.nanmean(w)) if not np.all(np.isnan(w)) else float("nan") for w in windows]

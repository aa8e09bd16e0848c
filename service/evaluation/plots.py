"""Pieces that all plots of evaluations are made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_DPI = 120


class Estimate(NamedTuple):
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


def figure_of(columns: int, height: float) -> tuple[Any, Any]:
    """A figure of one row, and its axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=(7 * columns, height), squeeze=False)
    return figure, axes[0]


def grouped_bars(axis: Any, names: Sequence[str], series: Mapping[str, Mapping[str, Estimate]]) -> None:
    """Bars with their intervals, a group for each name, in each group a bar of every series that has the name."""
    width = 0.8 / max(1, len(series))
    for number, (label, estimates) in enumerate(series.items()):
        at = [names.index(name) - 0.4 + width * (number + 0.5) for name in estimates]
        heights = [estimate.value for estimate in estimates.values()]
        axis.bar(at, heights, width * 0.95, label=label, yerr=error_bars(estimates.values()))


def error_bars(estimates: Collection[Estimate]) -> tuple[list[float], list[float]]:
    """Distances from the values to the ends of their intervals."""
    return [max(0.0, one.value - one.low) for one in estimates], [max(0.0, one.high - one.value) for one in estimates]


def legend(axis: Any, below: float) -> None:
    """Beneath the plot, where it hides nothing."""
    axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, below), ncol=4, frameon=False)


def save(figure: Any, image: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(image, dpi=_DPI)
    pyplot.close(figure)

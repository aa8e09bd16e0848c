"""Plots of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.evaluation.editing.report import TARGETS, Document, wanted_shares
from service.evaluation.editing.verdicts import KEPT, KINDS, WANTED
from service.evaluation.statistics import Proportion

_DPI = 120


def draw(sets: Mapping[str, Document], image: Path) -> tuple[Path, Path]:
    """Two PNGs: shares of each kind with their intervals and, in ``….relations.png``, those of each relation."""
    relations = image.with_name(f"{image.stem}.relations{image.suffix or '.png'}")
    _kinds(sets, image)
    _relations(sets, relations)
    return image, relations


def _kinds(sets: Mapping[str, Document], image: Path) -> None:
    figure, axes = figure_of(len(sets), 3.8)
    for axis, (name, found) in zip(axes, sets.items(), strict=True):
        width = 0.8 / max(1, len(found["ways"]))
        for number, (way, figures) in enumerate(found["ways"].items()):
            shares = {kind: Proportion(of["hits"], of["trials"]) for kind, of in figures["kinds"].items()}
            at = [KINDS.index(kind) - 0.4 + width * (number + 0.5) for kind in shares]
            axis.bar(at, [share.rate for share in shares.values()], width * 0.95, label=way, yerr=_errors(shares))
        for n, kind in enumerate(KINDS):
            axis.hlines(TARGETS[kind], n - 0.45, n + 0.45, colors="black", linestyles="dotted", linewidth=1)
        axis.set_xticks(range(len(KINDS)), [kind.replace("_", " ") for kind in KINDS], rotation=20)
        axis.set(title=f"{name}, n = {found['edits']} (dotted: target)", ylim=(0, 1.05), ylabel="share")
        legend(axis, -0.2)
    save(figure, image)


def _relations(sets: Mapping[str, Document], image: Path) -> None:
    """By the first way of each set: the service's own, with scope."""
    longest = max(len(next(iter(found["ways"].values()), {"relations": ()})["relations"]) for found in sets.values())
    figure, axes = figure_of(len(sets), 2.0 + 0.25 * longest)
    for axis, (name, found) in zip(axes, sets.items(), strict=True):
        way, figures = next(iter(found["ways"].items()), ("", {"relations": {}}))
        names = list(figures["relations"])
        for shift, (label, kinds) in enumerate((("says the target", WANTED), ("answer kept", KEPT))):
            shares = wanted_shares(figures["relations"], kinds)
            at = [names.index(relation) + 0.25 * (shift - 0.5) for relation in shares]
            rates = [share.rate for share in shares.values()]
            axis.errorbar(rates, at, xerr=_errors(shares), fmt="o", markersize=4, linewidth=1, label=label)
        axis.set_yticks(range(len(names)), names)
        axis.set(title=f"{name}, {way}", xlim=(-0.03, 1.03), ylim=(-0.6, len(names) - 0.4))
        legend(axis, -0.5 / (0.5 + 0.25 * longest))
    save(figure, image)


def _errors(shares: Mapping[str, Proportion]) -> tuple[list[float], list[float]]:
    """Distances from the rate to the ends of the interval."""
    pairs = [(share.rate, *share.interval) for share in shares.values()]
    return [max(0.0, rate - low) for rate, low, _ in pairs], [max(0.0, high - rate) for rate, _, high in pairs]


def figure_of(columns: int, height: float) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=(7 * columns, height), squeeze=False)
    return figure, axes[0]


def legend(axis: Any, below: float) -> None:
    """Beneath the plot, where it hides nothing."""
    axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, below), ncol=4, frameon=False)


def save(figure: Any, image: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(image, dpi=_DPI)
    pyplot.close(figure)

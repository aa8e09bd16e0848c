"""Plots of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service.evaluation.editing.report import TARGETS, Document, wanted_shares
from service.evaluation.editing.verdicts import KEPT, KINDS, WANTED
from service.evaluation.plots import Estimate, error_bars, figure_of, grouped_bars, legend, save
from service.evaluation.statistics import Proportion


def draw(sets: Mapping[str, Document], image: Path) -> tuple[Path, Path]:
    """Two PNGs: shares of each kind with their intervals and, in ``….relations.png``, those of each relation."""
    relations = image.with_name(f"{image.stem}.relations{image.suffix or '.png'}")
    _kinds(sets, image)
    _relations(sets, relations)
    return image, relations


def _kinds(sets: Mapping[str, Document], image: Path) -> None:
    figure, axes = figure_of(len(sets), 3.8)
    for axis, (name, found) in zip(axes, sets.items(), strict=True):
        grouped_bars(axis, KINDS, {way: _estimates(figures["kinds"]) for way, figures in found["ways"].items()})
        for n, kind in enumerate(KINDS):
            axis.hlines(TARGETS[kind], n - 0.45, n + 0.45, colors="black", linestyles="dotted", linewidth=1)
        axis.set_xticks(range(len(KINDS)), [kind.replace("_", " ") for kind in KINDS], rotation=20)
        axis.set(title=f"{name}, n = {found['edits']} (dotted: target)", ylim=(0, 1.05), ylabel="share")
        legend(axis, -0.2)
    save(figure, image)


def _estimates(kinds: Document) -> dict[str, Estimate]:
    return {kind: _estimate(Proportion(of["hits"], of["trials"])) for kind, of in kinds.items()}


def _estimate(share: Proportion) -> Estimate:
    return Estimate(share.rate, *share.interval)


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
            points = [*map(_estimate, shares.values())]
            rates = [point.value for point in points]
            axis.errorbar(rates, at, xerr=error_bars(points), fmt="o", markersize=4, linewidth=1, label=label)
        axis.set_yticks(range(len(names)), names)
        axis.set(title=f"{name}, {way}", xlim=(-0.03, 1.03), ylim=(-0.6, len(names) - 0.4))
        legend(axis, -0.5 / (0.5 + 0.25 * longest))
    save(figure, image)

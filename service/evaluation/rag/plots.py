"""Plots of an evaluation of retrieval and answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.evaluation.plots import Estimate, figure_of, grouped_bars, legend, save
from service.evaluation.rag.figures import ALL, IN_INDEX, NOT_IN_INDEX

Document = Mapping[str, Any]
_SCORES = ("em", "f1", "contained")
_CLAIMS = ("not_in_index", "false_answers")
_LABELS = {"em": "EM", "f1": "F1", "not_in_index": "“not in the index”", "false_answers": "false answers"}


def draw_evaluation(document: Document, directory: Path) -> list[Path]:
    """``rag_recall.png`` and ``rag_answers.png``, as far as there is something to draw."""
    drawn = []
    if document["retrieval"]:
        drawn.append(_recall(document["retrieval"], directory / "rag_recall.png"))
    if document["answers"]:
        drawn.append(_answers(document["answers"], directory / "rag_answers.png"))
    return drawn


def _recall(kinds: Document, image: Path) -> Path:
    """Recall@k, k from 1 to 100 on a logarithmic axis, a line for each kind of search."""
    groups = [group for group in (IN_INDEX, ALL) if any(group in found for found in kinds.values())]
    figure, axes = figure_of(len(groups), 4.0)
    for axis, group in zip(axes, groups, strict=True):
        for how, found in kinds.items():
            curve = found[group]["curve"]
            axis.step(range(1, len(curve) + 1), curve, where="post", label=how)
        n = next(iter(kinds.values()))[group]["questions"]
        title = "answer in the index" if group == IN_INDEX else "all questions"
        axis.set(title=f"{title}, n = {n}", xscale="log", xlabel="k passages", ylabel="recall@k", ylim=(0, 1.02))
        axis.set_xticks((1, 5, 20, 100), ("1", "5", "20", "100"))
        axis.grid(alpha=0.3)
        legend(axis, -0.2)
    save(figure, image)
    return image


def _answers(modes: Document, image: Path) -> Path:
    """Bars with their intervals: scores where the answer is in the index, claims where it is not."""
    wanted = ((IN_INDEX, _SCORES), (NOT_IN_INDEX, _CLAIMS))
    panels = [(group, names) for group, names in wanted if any(group in found for found in modes.values())]
    figure, axes = figure_of(len(panels), 4.0)
    for axis, (group, names) in zip(axes, panels, strict=True):
        grouped_bars(
            axis, names, {mode: {n: _estimate(found[group][n]) for n in names} for mode, found in modes.items()}
        )
        n = next(iter(modes.values()))[group]["questions"]
        axis.set_xticks(range(len(names)), [_LABELS.get(name, name) for name in names])
        axis.set(title=f"answer {group}, n = {n}", ylim=(0, 1.05), ylabel="share of questions")
        legend(axis, -0.1)
    save(figure, image)
    return image


def _estimate(figure: Document) -> Estimate:
    """Of a share or a mean."""
    return Estimate(figure.get("rate", figure.get("mean", 0.0)), figure["low"], figure["high"])

"""Forward passes as editing sees them: which positions predict a target, and how to get there without wasted work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from editing.model.families import Family, Positions, family_of
from editing.model.hidden_cache import HiddenCache
from editing.model.prompts import TargetSequence
from editing.model.row import KEPT_KINDS, Row
from editing.model.split import SplitModel


class Passes(Protocol):
    """A model's forward pass over sequences with targets."""

    model: Any
    family: Family

    def ensure(self, sequences: Sequence[TargetSequence]) -> None:
        """Prepare what a step's sequences need; called before ``logits``."""

    def plan(self, sequences: Iterable[TargetSequence]) -> None:
        """Note sequences that an interrupted run had met, so that ``ensure`` computes the same bits as it did."""

    def logits(self, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        """Predictions (n, vocab) at the n positions."""


class CachedPasses:
    """Only what lies above the cut is run; hidden states at the cut are computed once for each sequence.

    Args:
        model: a causal model of Llama's or GPT-2's type.
        first_layer: lowest edited layer.
        prefix: token ids that many sequences begin with.
    """

    def __init__(self, model: Any, first_layer: int, prefix: tuple[int, ...] = ()) -> None:
        self.model, self.family = model, family_of(model)
        self.split = SplitModel(model, first_layer)
        self.hidden = HiddenCache(self.split, prefix=prefix)

    def ensure(self, sequences: Sequence[TargetSequence]) -> None:
        self.hidden.ensure(sequences)

    def plan(self, sequences: Iterable[TargetSequence]) -> None:
        self.hidden.plan(sequences)

    def logits(self, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        final = self.split.upper(self.hidden.padded(sequences))
        logits: Tensor = self.split.lm_head(final[where.row, where.at])
        return logits


class FullPasses:
    """The whole model, every time: for a single edit, and for models that cannot be cut."""

    def __init__(self, model: Any) -> None:
        self.model, self.family = model, family_of(model)

    def ensure(self, sequences: Sequence[TargetSequence]) -> None:
        """Nothing is kept."""

    def plan(self, sequences: Iterable[TargetSequence]) -> None:
        """Nothing is kept."""

    def logits(self, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        return self.family.logits(self.model, sequences, where)


def lowest_layer(names: Sequence[str]) -> int | None:
    """The lowest layer number in names of modules; None where there is a name without one, or no name."""
    numbers = [re.search(r"\.(\d+)\.", name) for name in names]
    return min((int(number[1]) for number in numbers if number), default=None) if all(numbers) else None


def passes_for(model: Any, first_layer: int, prefix: tuple[int, ...] = ()) -> Passes:
    """Cached where the model can be cut below its first edited layer."""
    try:
        return CachedPasses(model, first_layer, prefix)
    except TypeError:
        return FullPasses(model)


def positions(rows: Sequence[Row], device: torch.device | str = "cpu") -> Positions:
    """The positions that predict each row's target; where the answer is to be kept, the word after it counts too."""
    table: list[tuple[int, int, int]] = []
    for index, row in enumerate(rows):
        ids, start = row.sequence.ids, row.sequence.start
        end = len(ids) if row.kind in KEPT_KINDS else len(ids) - 1
        table += [(index, at, ids[at + 1] if at + 1 < len(ids) else 0) for at in range(start - 1, end)]
    return Positions(*torch.tensor(table, device=device).unbind(1))


def scatter(flat: Tensor, group: Tensor, groups: int) -> Tensor:
    """(n, …) → (groups, width, …): each row into its group, in order; zeros where a group is shorter."""
    counts = torch.bincount(group, minlength=groups)
    order = group.argsort(stable=True)
    slot = torch.empty_like(group)
    slot[order] = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[group[order]]
    out = flat.new_zeros(groups, int(counts.max()), *flat.shape[1:])
    return out.index_put((group, slot), flat)


def by_length(rows: Sequence[Row]) -> list[list[int]]:
    """Row numbers in one or two groups, so that short rows are not padded to the longest one's length."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].sequence.ids) + len(rows[i].sequence.source))
    lengths = [len(rows[i].sequence.ids) + len(rows[i].sequence.source) for i in order]
    n, longest = len(order), lengths[-1]
    cut = min(range(n), key=lambda k: k * lengths[k - 1] + (n - k) * longest if k else n * longest)
    return [sorted(part) for part in (order[:cut], order[cut:]) if part]

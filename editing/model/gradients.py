"""Keys and output gradients: what every editor makes its edits from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from editing.edit import Deltas
from editing.model.passes import FullPasses, Passes, by_length, positions, scatter
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.side_path import edited, stack
from editing.model.trace import trace

Rows = tuple[Tensor, Tensor, Tensor]  # edit (n,), keys (n, in), output gradients (n, out)


@dataclass(frozen=True)
class Gradients:
    """Rows of one layer that edits are made from.

    Attributes:
        keys: (b, r, in)
        values_grad: (b, r, out)
        weight: (b, r); a row's share in its edit, 0 for padding.
    """

    keys: Tensor
    values_grad: Tensor
    weight: Tensor


def gradients(passes: Passes, names: Sequence[str], views: Sequence[Row], edits: int) -> dict[str, Gradients]:
    """Rows of the named layers for ``edits`` edits, each made from its views; an edit's views weigh alike.

    Each view's loss is −log p(target) summed over the target's tokens.
    """
    parts = [_rows(passes, names, [views[i] for i in group]) for group in by_length(views)]
    owner = torch.tensor([view.edit for view in views], device=passes.model.device)
    share = 1.0 / torch.bincount(owner, minlength=edits)
    return {name: _grouped([part[name] for part in parts], share, edits) for name in names}


def edit_gradients(
    model: Any, names: Sequence[str], sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()
) -> dict[str, Gradients]:
    """The same for one edit on the whole model, under the edits that are in force; every b is 1."""
    views = [Row(0, "view", sequence) for sequence in sequences]
    with edited(model, stack([list(under)], model.dtype, model.device)):
        return gradients(FullPasses(model), names, views, edits=1)


def _rows(passes: Passes, names: Sequence[str], views: Sequence[Row]) -> dict[str, Rows]:
    sequences = [view.sequence for view in views]
    device = passes.model.device
    where = positions(views, device)
    with trace(passes.model, names) as record:
        logits = passes.logits(sequences, where)
        grads = record.values_grad(F.cross_entropy(logits.float(), where.target, reduction="sum"))
    owner = torch.tensor([view.edit for view in views], device=device)
    out = {}
    for name in names:
        row, at = passes.family.key_rows(name, sequences, where)
        out[name] = (owner[row], record.keys[name][row, at], grads[name][row, at])
    return out


def _grouped(parts: Sequence[Rows], share: Tensor, edits: int) -> Gradients:
    edit, keys, values_grad = (torch.cat(column) for column in zip(*parts, strict=True))
    return Gradients(
        *(scatter(flat, edit, edits) for flat in (keys, values_grad, share[edit])),
    )

"""A few gradient steps on the factors themselves, for edits that do not yet hold in free generation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from editing.edit import Deltas, LowRankDelta
from editing.model.edit_batch import EditBatch
from editing.model.passes import positions, scatter
from editing.model.row import Row
from editing.model.side_path import RowFactors, edited, select, stack

Leaves = dict[str, Tensor]  # B (out, r) in float32, by module name
CERTAIN = 0.02  # mean loss of a target's tokens below which a view needs no further step


@torch.inference_mode()
def predicts_targets(batch: EditBatch, deltas: Sequence[Deltas]) -> list[bool]:
    """For each correction whether, under its change, each token of every view's target is the likeliest one given
    those before it."""
    factors = stack([[own] for own in deltas], batch.model.dtype, batch.model.device)
    wrong: set[int] = set()
    for group in batch.groups:
        where = positions(group, batch.model.device)
        owner = torch.tensor([row.edit for row in group], device=batch.model.device)
        with edited(batch.model, batch.base), edited(batch.model, select(factors, owner)):
            said = batch.passes.logits([row.sequence for row in group], where).argmax(-1)
        wrong |= set(owner[where.row[said != where.target]].tolist())
    return [n not in wrong for n in range(len(batch.corrections))]


def refine(batch: EditBatch, deltas: Sequence[Deltas], *, steps: int = 6, rate: float = 0.08) -> list[Deltas]:
    """Move every B so that its correction's targets become likely; A, and with it where the edit acts, stays.

    Adam in units of B's own size: one step moves each entry by about ``rate`` of the layer's mean magnitude. A
    correction whose views are all but certain is left alone.

    Returns:
        New factors of the same rank, in the dtype of the old ones.
    """
    device = batch.model.device
    leaves = [_leaves(own, device) for own in deltas]
    rates = [
        {"params": [leaf], "lr": rate * float(leaf.detach().abs().mean()) + 1e-8}
        for own in leaves
        for leaf in own.values()
    ]
    optimiser = torch.optim.Adam(rates)
    keys = {name: pad_sequence([own[name].A.to(device) for own in deltas], batch_first=True) for name in deltas[0]}
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        losses = torch.cat([_backward(batch, group, keys, leaves) for group in batch.groups])
        owner = torch.tensor([row.edit for group in batch.groups for row in group], device=device)
        hardest = losses.new_zeros(len(deltas)).scatter_reduce(0, owner, losses, "amax")
        for own, loss in zip(leaves, hardest.tolist(), strict=True):
            if loss < CERTAIN:
                for leaf in own.values():
                    leaf.grad = None
        if float(hardest.max()) < CERTAIN:
            break
        optimiser.step()
    return [_moved(own, moved) for own, moved in zip(deltas, leaves, strict=True)]


def _leaves(deltas: Deltas, device: torch.device) -> Leaves:
    return {name: delta.B.to(device, torch.float32).clone().requires_grad_() for name, delta in deltas.items()}


def _backward(batch: EditBatch, group: Sequence[Row], keys: dict[str, Tensor], leaves: Sequence[Leaves]) -> Tensor:
    """Add the gradient of the group's share in each correction's mean loss over its views; the loss of each view."""
    device = batch.model.device
    where = positions(group, device)
    owner = torch.tensor([row.edit for row in group], device=device)
    B = {name: pad_sequence([own[name].T for own in leaves], batch_first=True).transpose(1, 2) for name in keys}
    factors = {name: RowFactors(keys[name][owner], B[name][owner]) for name in keys}
    with edited(batch.model, batch.base), edited(batch.model, factors):
        logits = batch.passes.logits([row.sequence for row in group], where)
    losses = F.cross_entropy(logits.float(), where.target, reduction="none")
    each = scatter(losses, where.row, len(group)).sum(-1) / torch.bincount(where.row, minlength=len(group))
    views = torch.tensor([len(views) for views in batch.corrections], device=device)
    wanted = [leaf for n in set(owner.tolist()) for leaf in leaves[n].values()]
    (each / views[owner]).sum().backward(inputs=wanted)  # nothing else collects a gradient
    return each.detach()


def _moved(before: Deltas, leaves: Leaves) -> Deltas:
    return {
        name: LowRankDelta(delta.A, leaves[name].detach().to(delta.B.dtype).cpu()) for name, delta in before.items()
    }

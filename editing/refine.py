"""A few gradient steps on the factors themselves, for an edit that does not yet hold in free generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from editing.compute import target_logits
from editing.edit import Deltas, LowRankDelta
from editing.model import RowFactors, edited, stack
from editing.prompts import TargetSequence


@torch.inference_mode()
def settled(model: Any, deltas: Deltas, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()) -> bool:
    """Whether each token of every view's target is the likeliest one, given those before it."""
    with edited(model, stack([[*under, deltas]], model.dtype, model.device)):
        pairs = [target_logits(model, sequence) for sequence in sequences]
    return all(bool((logits.argmax(-1) == targets).all()) for logits, targets in pairs)


def refine(
    model: Any,
    deltas: Deltas,
    sequences: Sequence[TargetSequence],
    under: Sequence[Deltas] = (),
    *,
    steps: int = 6,
    rate: float = 0.08,
) -> dict[str, LowRankDelta]:
    """Move B so that every sequence's target becomes likely; A, and with it where the edit acts, stays.

    Adam in units of B's own size: one step moves each entry by about ``rate`` of the layer's mean magnitude.

    Returns:
        New factors of the same rank, in the dtype of the old ones.
    """
    device = model.device
    leaves = {name: delta.B.to(device, torch.float32).clone().requires_grad_() for name, delta in deltas.items()}
    groups = [{"params": [leaf], "lr": rate * float(leaf.detach().abs().mean()) + 1e-8} for leaf in leaves.values()]
    optimiser = torch.optim.Adam(groups)
    base = stack([list(under)], model.dtype, device)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        own = {name: RowFactors(deltas[name].A.to(device)[None], leaf[None]) for name, leaf in leaves.items()}
        hardest = 0.0
        for sequence in sequences:
            with edited(model, base), edited(model, own):
                logits, targets = target_logits(model, sequence)
                loss = torch.nn.functional.cross_entropy(logits.float(), targets) / len(sequences)
                loss.backward(inputs=list(leaves.values()))  # nothing else collects a gradient
            hardest = max(hardest, float(loss.detach()) * len(sequences))
        if hardest < 0.02:
            break
        optimiser.step()
    return {
        name: LowRankDelta(deltas[name].A, leaf.detach().to(deltas[name].B.dtype).cpu())
        for name, leaf in leaves.items()
    }

"""Constrained fine-tuning in factor space: the editor for every model that has no trained one.

"Modifying Memories in Transformer Models" (Zhu et al. 2020, equation 2): min NLL(edit; W) subject to ‖W − W₀‖ ≤ δ, by
gradient descent with a projection after each step. Here the change is ΔW = B A with A fixed at the edit's own keys, so
it acts where the edit's prompts are, is as small as MEND's, and W₀ is never written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from editing.edit import Deltas, LowRankDelta
from editing.editors.layers import default_modules
from editing.model.edit_batch import EditBatch
from editing.model.families import Decoder, Positions, family_of
from editing.model.gradients import gradients
from editing.model.passes import FullPasses, Passes, by_length, lowest_layer, passes_for, positions
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.side_path import Factors, RowFactors, edited, stack

Norm = Literal["l2", "linf"]


@dataclass(frozen=True)
class Limits:
    """How far and how long fine-tuning goes.

    Attributes:
        steps: at most so many steps of Adam.
        rate: how far a step moves each entry of B, as a share of the root mean square of the layer's weight.
        margin: the edit is done when every target token's logit leads every other's by this much.
        bound: ‖ΔW‖ ≤ bound · ‖W‖ in the layer's own norm.
        norm: ``l2`` is Frobenius', ``linf`` the largest entry's size, as in the paper.
        kept_weight: weight of the KL term.
    """

    steps: int = 60
    rate: float = 0.03
    margin: float = 3.0
    bound: float = 0.2
    norm: Norm = "l2"
    kept_weight: float = 1.0


class FineTuning:
    """Adam on B, from zero, until every token of every view's target is the likeliest by a margin.

    The loss is the mean of −log p(target token) over all views, plus ``kept_weight`` times the mean KL divergence of
    the model's answers to ``kept``, before the edit and under it. B is scaled back whenever ΔW outgrows its bound: with
    ``l2`` this is the projection onto the ball, with ``linf`` the point of the ball on the same ray.

    Args:
        names: linear layers to change; ``default_modules`` of the model where None.
        kept: prompts whose answers shall stay, compared from the last prompt token on.
        limits: see there.
    """

    name = "fine-tuning"
    batch_size = 1

    def __init__(
        self, names: Sequence[str] | None = None, *, kept: Sequence[TargetSequence] = (), limits: Limits | None = None
    ) -> None:
        self.names, self.kept, self.limits = names, tuple(kept), limits or Limits()

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        """One correction after the other.

        The rank is the number of keys over all views, fewer those that are zero or not finite. A (r, in) holds them at
        length one. Where the bounds on steps or size come first, the factors are what was reached.
        """
        return [self._edit(batch.model, sequences, batch.under) for sequences in batch.corrections]

    def _edit(self, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas]) -> Deltas:
        names = self.names if self.names is not None else default_modules(model)
        with torch.enable_grad(), edited(model, stack([list(under)], model.dtype, model.device)):
            passes = _passes(model, names, [*sequences, *self.kept])
            leaves = _leaves(model, passes, names, sequences, self.limits)
            objective = _Objective(passes, sequences, self.kept, self.limits.kept_weight)
            _descend(objective, leaves, self.limits)
        return {name: leaf.delta() for name, leaf in leaves.items()}


class _Leaf:
    """Factors of one layer in the making.

    Attributes:
        A: (r, in), unit keys in the model's dtype.
        B: (out, r) float32, what is learned.
        scale: root mean square of the layer's weight.
        limit: how large ΔW may become.
    """

    def __init__(self, weight: Tensor, out: int, keys: Tensor, limits: Limits) -> None:
        lengths = keys.float().norm(dim=-1, keepdim=True)
        usable = ((lengths > 0) & lengths.isfinite())[:, 0]
        self.A = (keys.float() / lengths)[usable].to(weight.dtype)
        self.B = torch.zeros(out, len(self.A), device=weight.device, requires_grad=True)
        full = weight.detach().float()
        self.scale = float(full.norm()) / full.numel() ** 0.5
        self.norm = limits.norm
        self.limit = limits.bound * float(full.norm() if self.norm == "l2" else full.abs().max())

    def delta(self) -> LowRankDelta:
        return LowRankDelta(self.A.cpu(), self.B.detach().to(self.A.dtype).cpu())

    def size(self) -> float:
        """‖B A‖; ‖B A‖² = Σ B ∘ (B A Aᵀ) for ``l2``."""
        A, B = self.A.float(), self.B.detach()
        if self.norm == "l2":
            return math.sqrt(max(0.0, float((B * (B @ (A @ A.T))).sum())))
        return max(float((part @ A).abs().max()) for part in B.split(1024))

    @torch.no_grad()
    def shrink(self) -> None:
        """Back into the ball."""
        size = self.size()
        if size > self.limit:
            self.B *= self.limit / size


class _Objective:
    """What is minimised, and how far the hardest target token is from being the likeliest."""

    def __init__(
        self, passes: Passes, sequences: Sequence[TargetSequence], kept: Sequence[TargetSequence], kept_weight: float
    ) -> None:
        self.passes, self.kept_weight = passes, kept_weight
        self.views, self.kept = (
            _groups(sequences, "view", passes.model.device),
            _groups(kept, "unrelated", passes.model.device),
        )
        self.tokens = sum(len(where.row) for _, where in self.views)
        with torch.no_grad():
            self.before = [self._log_probabilities(*group) for group in self.kept]
        self.kept_tokens = sum(map(len, self.before))

    def backward(self, factors: Factors, leaves: Sequence[Tensor]) -> tuple[float, float]:
        """Add the gradient to the leaves; gives the loss and the smallest lead of a target token."""
        total, lead = 0.0, math.inf
        for group in self.views:
            with edited(self.passes.model, factors):
                logits = self.passes.logits(*group).float()
                loss = F.cross_entropy(logits, group[1].target, reduction="sum") / self.tokens
                loss.backward(inputs=list(leaves))
            total, lead = total + float(loss.detach()), min(lead, float(_leads(logits.detach(), group[1].target).min()))
        for group, before in zip(self.kept, self.before, strict=True):
            with edited(self.passes.model, factors):
                after = self._log_probabilities(*group)
                kl = F.kl_div(after, before, log_target=True, reduction="sum") * self.kept_weight / self.kept_tokens
                kl.backward(inputs=list(leaves))
            total += float(kl.detach())
        return total, lead

    def _log_probabilities(self, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        return F.log_softmax(self.passes.logits(sequences, where).float(), -1)


def _descend(objective: _Objective, leaves: dict[str, _Leaf], limits: Limits) -> None:
    """Move every B; a step that leads to a loss or gradient that is not finite is taken back, and the last one."""
    groups = [{"params": [leaf.B], "lr": limits.rate * leaf.scale + 1e-12} for leaf in leaves.values()]
    optimiser = torch.optim.Adam(groups)
    parameters = [leaf.B for leaf in leaves.values()]
    sound = [B.detach().clone() for B in parameters]
    for step in range(limits.steps + 1):
        optimiser.zero_grad(set_to_none=True)
        factors = {name: RowFactors(leaf.A[None], leaf.B[None]) for name, leaf in leaves.items()}
        loss, lead = objective.backward(factors, parameters)
        if not math.isfinite(loss) or not all(B.grad is None or B.grad.isfinite().all() for B in parameters):
            break
        sound = [B.detach().clone() for B in parameters]
        if lead >= limits.margin or step == limits.steps:
            break
        optimiser.step()
        for leaf in leaves.values():
            leaf.shrink()
    with torch.no_grad():
        for B, last in zip(parameters, sound, strict=True):
            B.copy_(last)


def _leaves(
    model: Any, passes: Passes, names: Sequence[str], sequences: Sequence[TargetSequence], limits: Limits
) -> dict[str, _Leaf]:
    rows = gradients(passes, names, [Row(0, "view", sequence) for sequence in sequences], edits=1)
    return {
        name: _Leaf(model.get_submodule(name).weight, found.values_grad.shape[-1], found.keys[0], limits)
        for name, found in rows.items()
    }


def _passes(model: Any, names: Sequence[str], sequences: Sequence[TargetSequence]) -> Passes:
    """What lies below the first changed layer is run only once, where the model can be cut there."""
    lowest = lowest_layer(names)
    if not isinstance(family_of(model), Decoder) or lowest is None:
        return FullPasses(model)
    passes = passes_for(model, lowest)
    passes.ensure(sequences)
    return passes


def _groups(
    sequences: Sequence[TargetSequence], kind: str, device: torch.device
) -> list[tuple[list[TargetSequence], Positions]]:
    """Sequences of about the same length with the positions that count."""
    rows = [Row(0, kind, sequence) for sequence in sequences]
    groups = [[rows[i] for i in group] for group in by_length(rows)] if rows else []
    return [([row.sequence for row in group], positions(group, device)) for group in groups]


def _leads(logits: Tensor, target: Tensor) -> Tensor:
    """How far each target's logit leads every other one: logits (n, vocab), target (n,) → (n,)."""
    own = logits.gather(1, target[:, None])
    others = logits.scatter(1, target[:, None], -math.inf)
    return own[:, 0] - others.max(-1).values

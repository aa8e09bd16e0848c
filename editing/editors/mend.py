"""MEND: an editor network turns the fine-tuning gradient of one correction into a low-rank change.

Sign: the paper subtracts, ``W ← W − α ∇̃`` (equation 5), and so does this code. With the identity as network and no
normaliser, ΔW = B A = −lr · ∂loss/∂W exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from editing.edit import Deltas, LowRankDelta
from editing.editors.hypernet import GradientTransform, live_rows
from editing.editors.refine import refine
from editing.model.edit_batch import EditBatch
from editing.model.gradients import Gradients
from editing.model.prompts import TargetSequence
from editing.model.side_path import Factors, RowFactors, linear_shape


class MendEditor(nn.Module):
    """The gradient transforms of all edited layers, one for each shape, and a learned step size for each layer.

    Args:
        shapes: (in, out) by module name, in the order of the model.
        rank: inner width of the transform's low-rank layers.
        lr: step size at the start.
        normalise: see ``GradientTransform``.
    """

    name = "mend"
    batch_size = 8

    def __init__(
        self, shapes: Mapping[str, tuple[int, int]], *, rank: int = 256, lr: float = 1e-4, normalise: bool = True
    ) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.modes: dict[str, int] = {}
        counts: dict[tuple[int, int], int] = {}
        for name, shape in self.shapes.items():
            self.modes[name] = counts.get(shape, 0)
            counts[shape] = self.modes[name] + 1
        self.transforms = nn.ModuleDict(
            {
                f"{i}x{o}": GradientTransform(i, o, modes, rank=rank, normalise=normalise)
                for (i, o), modes in counts.items()
            }
        )
        self.log_lr = nn.Parameter(torch.full((len(self.shapes),), lr).log())

    @classmethod
    def for_model(cls, model: nn.Module, names: Sequence[str], *, rank: int = 256, lr: float = 1e-4) -> MendEditor:
        """An untrained editor for the named linear layers of ``model``."""
        modules = dict(model.named_modules())
        return cls({name: linear_shape(modules[name]) for name in names}, rank=rank, lr=lr)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.shapes)

    def transform(self, name: str) -> GradientTransform:
        i, o = self.shapes[name]
        network = self.transforms[f"{i}x{o}"]
        assert isinstance(network, GradientTransform)
        return network

    def update_normaliser(self, gradients: Mapping[str, Gradients]) -> None:
        """Let the running statistics take in the rows that count."""
        for name, rows in gradients.items():
            live = rows.weight > 0
            self.transform(name).update(rows.keys[live].float(), rows.values_grad[live].float())

    def factors(self, gradients: Mapping[str, Gradients]) -> Factors:
        """Edits for a batch: ΔW = B A with A = x̃ and B = −lr · weight · δ̃ᵀ, differentiable in the parameters."""
        return {name: self._layer(index, name, gradients[name]) for index, name in enumerate(self.shapes)}

    def _layer(self, index: int, name: str, rows: Gradients) -> RowFactors:
        keys, values = self.transform(name).transform(rows.keys.float(), rows.values_grad.float(), self.modes[name])
        weight = rows.weight * live_rows(rows.values_grad)  # a row without gradient teaches nothing
        step = self.log_lr[index].exp() * weight[..., None]
        return RowFactors(A=keys * (weight > 0)[..., None], B=(-step * values).transpose(1, 2))

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        """MEND's edit for each correction; its rank is the number of predicted tokens over all its views."""
        return self.every(batch.gradients(self.names), batch.model.dtype)

    @torch.no_grad()
    def every(self, gradients: Mapping[str, Gradients], dtype: torch.dtype) -> list[Deltas]:
        """The edits of a batch as values in main memory; rows of weight 0 are left out."""
        factors = self.factors(gradients)
        count = len(next(iter(gradients.values())).weight)
        return [{name: _row(n, factors[name], gradients[name], dtype) for name in factors} for n in range(count)]


@dataclass(frozen=True)
class Polish:
    """What is done to a proposal.

    Attributes:
        strength: factor on ΔW of answers of at most ``short`` tokens, the end of turn included.
        steps: gradient steps on B.
    """

    strength: float = 1.4
    short: int = 8
    steps: int = 2


class PolishedMend:
    """A trained network as it is served: its proposal, lengthened, and a few gradient steps on its factors.

    Training weighs neighbours as well, so its step is cautious; in service scope keeps neighbours apart, and an edit
    may take a longer step. Whole sentences, whose tokens depend on one another, stay with the step that was learned.
    The gradient steps move B only: where the edit acts was the network's choice, and stays.
    """

    name = "mend"
    batch_size = 8

    def __init__(self, network: MendEditor, polish: Polish | None = None) -> None:
        self.network, self.polish = network, polish or Polish()

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        """The network's edits, lengthened and refined, each as if it were alone."""
        proposals = [
            self._lengthened(*one) for one in zip(self.network.edit_batch(batch), batch.corrections, strict=True)
        ]
        return refine(batch, proposals, steps=self.polish.steps) if self.polish.steps else proposals

    def _lengthened(self, proposal: Deltas, views: Sequence[TargetSequence]) -> Deltas:
        target = len(views[0].ids) - views[0].start
        if target > self.polish.short:
            return proposal
        return {name: LowRankDelta(d.A, d.B * self.polish.strength) for name, d in proposal.items()}


def _row(n: int, factors: RowFactors, gradients: Gradients, dtype: torch.dtype) -> LowRankDelta:
    used = (gradients.weight[n] > 0) & live_rows(gradients.values_grad[n])
    A, B = (factor.to("cpu", dtype).contiguous() for factor in (factors.A[n][used], factors.B[n][:, used]))
    return LowRankDelta(A, B)

"""MEND: an editor network turns the fine-tuning gradient of one correction into a low-rank change.

Sign: the paper subtracts, ``W ← W − α ∇̃`` (equation 5), and so does this code. With the identity as network and no
normaliser, ΔW = B A = −lr · ∂loss/∂W exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from editing.edit import Deltas, LowRankDelta
from editing.editors.hypernet import GradientTransform, live_rows
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

    def edit(
        self, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()
    ) -> dict[str, LowRankDelta]:
        """MEND's edit for one correction; see ``editing.editors.protocol.Editor``."""
        return self.edit_many(EditBatch.whole(model, [sequences], under))[0]

    def edit_many(self, bench: EditBatch) -> list[dict[str, LowRankDelta]]:
        """MEND's edits for the corrections on a bench, each computed as if it were alone.

        A correction's rank is the number of predicted tokens over all its views.
        """
        return self.every(bench.gradients(self.names), bench.model.dtype)

    def deltas(self, gradients: Mapping[str, Gradients], dtype: torch.dtype) -> dict[str, LowRankDelta]:
        """The edit of a batch of one, as a value in main memory."""
        return self.every(gradients, dtype)[0]

    @torch.no_grad()
    def every(self, gradients: Mapping[str, Gradients], dtype: torch.dtype) -> list[dict[str, LowRankDelta]]:
        """The edits of a batch as values in main memory; rows of weight 0 are left out."""
        factors = self.factors(gradients)
        count = len(next(iter(gradients.values())).weight)
        return [{name: _row(n, factors[name], gradients[name], dtype) for name in factors} for n in range(count)]


def _row(n: int, factors: RowFactors, gradients: Gradients, dtype: torch.dtype) -> LowRankDelta:
    used = (gradients.weight[n] > 0) & live_rows(gradients.values_grad[n])
    A, B = (factor.to("cpu", dtype).contiguous() for factor in (factors.A[n][used], factors.B[n][:, used]))
    return LowRankDelta(A, B)

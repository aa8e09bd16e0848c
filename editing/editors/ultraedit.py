"""UltraEdit (Gu et al. 2025): edits in closed form, without training, from keys and output gradients alone.

"UltraEdit: Training-, Subject-, and Memory-Free Lifelong Editing in Language Models", arXiv 2505.14679, section 3:
running statistics of all keys and gradients ever seen ("lifelong normalisation") stand in for a trained network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from editing.edit import Deltas, LowRankDelta
from editing.editors.hypernet import RunningNormaliser
from editing.editors.layers import default_modules
from editing.editors.least_squares import Ridge, least_squares, ridge_of, usable
from editing.model.edit_batch import EditBatch
from editing.model.gradients import Gradients, edit_gradients
from editing.model.prompts import TargetSequence

Rows = dict[str, Gradients]


class UltraEdit:
    """One step of regularised least squares from keys to normalised gradients.

    With keys k, output gradients δ and k̃, δ̃ their values less the running mean and divided by the running standard
    deviation: vᵢ = −η ‖k̃ᵢ‖² δ̃ᵢ, and ΔW = Vᵀ K (Kᵀ K + λ I)⁻¹ with the keys as they are; the paper's λ is 1.

    The paper keeps statistics for each shape of layer; here each layer has its own, since gradients differ in size
    from layer to layer. One edit is too few rows for a mean: ``prime`` the statistics with other prompts first.

    Args:
        names: linear layers to change; ``default_modules`` of the model where None.
        rate: η.
        ridge: λ, for all layers or by name.
        lifelong: let each edit's rows enter the statistics before it is made, as in the paper. Without, the
            statistics stay what ``prime`` has made them and an edit depends on nothing that was edited before.
    """

    name = "ultraedit"
    batch_size = 1

    def __init__(
        self, names: Sequence[str] | None = None, *, rate: float = 2e-3, ridge: Ridge = 1.0, lifelong: bool = True
    ) -> None:
        self.names, self.rate, self.ridge, self.lifelong = names, rate, ridge, lifelong
        self._normalisers: dict[str, tuple[RunningNormaliser, RunningNormaliser]] = {}

    def prime(self, model: Any, sequences: Sequence[TargetSequence]) -> None:
        """Let the statistics take in prompts with targets, one after the other; nothing is edited."""
        for sequence in sequences:
            self._update(self._rows(model, [sequence], ()))

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        """Each correction by itself, in their order; the rank is the number of predicted tokens over all its views."""
        return [self.edit_jointly(batch.only([n])) for n in range(len(batch.corrections))]

    def edit_jointly(self, batch: EditBatch) -> Deltas:
        """Factors in the model's dtype; their rank is the number n of rows, or ``in`` where n is larger."""
        found = [self._rows(batch.model, sequences, batch.under) for sequences in batch.corrections]
        if self.lifelong:
            for rows in found:
                self._update(rows)
        return {name: self._layer(name, [rows[name] for rows in found]).to(batch.model.dtype) for name in found[0]}

    @torch.no_grad()
    def _layer(self, name: str, rows: Sequence[Gradients]) -> LowRankDelta:
        keys, values_grad = torch.cat([r.keys[0] for r in rows]), torch.cat([r.values_grad[0] for r in rows])
        keys_norm, values_norm = self._statistics(name, keys, values_grad)
        share = keys_norm(keys).square().sum(-1, keepdim=True)  # ‖k̃‖², (n, 1)
        return least_squares(keys, -self.rate * share * values_norm(values_grad), ridge_of(self.ridge, name))

    def _rows(self, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas]) -> Rows:
        names = self.names if self.names is not None else default_modules(model)
        return {name: usable(rows) for name, rows in edit_gradients(model, names, sequences, under).items()}

    def _update(self, rows: Rows) -> None:
        for name, layer in rows.items():
            keys, values_grad = layer.keys[0], layer.values_grad[0]
            keys_norm, values_norm = self._statistics(name, keys, values_grad)
            keys_norm.update(keys)
            values_norm.update(values_grad)

    def _statistics(self, name: str, keys: Tensor, values_grad: Tensor) -> tuple[RunningNormaliser, RunningNormaliser]:
        if name not in self._normalisers:
            widths = (keys.shape[-1], values_grad.shape[-1])
            one, other = (RunningNormaliser(width).to(keys.device) for width in widths)
            self._normalisers[name] = one, other
        return self._normalisers[name]

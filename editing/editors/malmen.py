"""MALMEN (Tan et al. 2024): many MEND edits joined into one change that keeps what each of them does.

"Massive Editing for Large Language Models via Meta Learning", ICLR 2024, section 3.2: summing edits lets them cancel or
pile up, so the sum is replaced by the least-squares solution for all edits together, the "normal equation".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from editing.edit import Deltas, LowRankDelta
from editing.editors.least_squares import Ridge, least_squares, ridge_of, usable
from editing.editors.mend import MendEditor
from editing.model.edit_batch import EditBatch
from editing.model.gradients import Gradients, edit_gradients
from editing.model.prompts import TargetSequence


class Malmen:
    """Aggregates the edits of a trained MEND editor.

    Edit i has keys Kᵢ (nᵢ, in) and, by itself, would change the layer by ΔWᵢ = Bᵢ Aᵢ; its value differences are
    Dᵢ = Kᵢ ΔWᵢᵀ (nᵢ, out), what it adds to the layer's output at its own keys. With K and D of all edits below one
    another, ΔW = Dᵀ K (Kᵀ K + λ I)⁻¹. (The paper writes a key as a column, and takes a token's own rank-one change for
    ΔWᵢ; an edit of this editor is all its tokens and views together, as it was trained.)

    Args:
        mend: the editor whose edits are joined; only the aggregation is MALMEN's, the network stays as it was trained.
        ridge: λ > 0, for all layers or by name. The smaller, the more exactly each edit keeps what it does; the
            larger, the smaller the change and the less other prompts feel of it. The paper learns it.
    """

    name = "malmen"
    batch_size = 1

    def __init__(self, mend: MendEditor, ridge: Ridge = 1.0) -> None:
        self.mend, self.ridge = mend, ridge

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        """Each correction by itself: MEND's edit, cut down by λ."""
        return [self.edit_jointly(batch.only([n])) for n in range(len(batch.corrections))]

    @torch.no_grad()
    def edit_jointly(self, batch: EditBatch) -> Deltas:
        """Factors in the model's dtype; their rank is the number n of rows, or ``in`` where n is larger."""
        model = batch.model
        parts = [self._differences(model, sequences, batch.under) for sequences in batch.corrections]
        return {name: self._layer(name, [part[name] for part in parts]).to(model.dtype) for name in self.mend.names}

    def _layer(self, name: str, parts: Sequence[tuple[Tensor, Tensor]]) -> LowRankDelta:
        keys, differences = (torch.cat(column) for column in zip(*parts, strict=True))
        return least_squares(keys, differences, ridge_of(self.ridge, name))

    def _differences(
        self, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Keys (n, in) and value differences (n, out) of one edit, by layer."""
        with torch.enable_grad():
            found = edit_gradients(model, self.mend.names, sequences, under)
        rows: dict[str, Gradients] = {name: usable(found[name]) for name in self.mend.names}
        factors = self.mend.factors(rows)
        return {
            name: (rows[name].keys[0], rows[name].keys[0] @ factors[name].A[0].T @ factors[name].B[0].T)
            for name in self.mend.names
        }

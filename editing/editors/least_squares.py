"""Regularised least squares from keys to values, answered in factors: the sum behind UltraEdit and MALMEN."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from editing.edit import LowRankDelta
from editing.editors.hypernet import live_rows
from editing.model.gradients import Gradients

Ridge = float | Mapping[str, float]  # one λ for all layers, or one for each


def least_squares(keys: Tensor, values: Tensor, ridge: float) -> LowRankDelta:
    """argmin over ΔW of Σᵢ ‖ΔW kᵢ − vᵢ‖² + λ ‖ΔW‖², which is ΔW = Vᵀ K (Kᵀ K + λ I)⁻¹ = Vᵀ (K Kᵀ + λ I)⁻¹ K.

    With the singular value decomposition K = U S Wᵀ this is Vᵀ U · S (S² + λ)⁻¹ · Wᵀ: A = Wᵀ has orthonormal rows and
    B = Vᵀ U S (S² + λ)⁻¹, so nearly equal keys cost no digits when the factors are rounded to bfloat16, and neither
    an (in, in) nor an (out, in) matrix is built.

    Args:
        keys: (n, in)
        values: (n, out), what ΔW shall add at each key.
        ridge: λ > 0.

    Returns:
        Factors in float32 of rank min(n, in).

    Raises:
        ValueError: λ is not positive.
    """
    if not ridge > 0:
        raise ValueError(f"the ridge must be positive, not {ridge}")
    U, S, Wt = torch.linalg.svd(keys.double(), full_matrices=False)
    B = values.double().T @ U * (S / (S.square() + ridge))
    return LowRankDelta(Wt.float(), B.float())


def ridge_of(ridge: Ridge, name: str) -> float:
    """The λ of one layer."""
    return ridge[name] if isinstance(ridge, Mapping) else ridge


def usable(rows: Gradients) -> Gradients:
    """A batch of one without its padding, the rows that have no gradient and those that are not finite; in float32."""
    keys, values_grad = rows.keys[0].float(), rows.values_grad[0].float()
    finite = keys.isfinite().all(-1) & values_grad.isfinite().all(-1)
    live = finite & live_rows(values_grad) & (rows.weight[0] > 0)
    return Gradients(keys[None, live], values_grad[None, live], rows.weight[:, live])

"""Vectors as FAISS takes them; anything else would be searched without a word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_TOLERANCE = 1e-3  # how far from 1 a normalised vector may be


def checked(vectors: Vectors, dimension: int, normalised: bool, first: int = 0) -> Vectors:
    """Vectors (n, d) as FAISS takes them.

    Raises:
        ValueError: another shape, values that are not finite, or lengths other than 1 though ``normalised``; names the
            row, counted from ``first``.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"vectors of shape (n, {dimension}) expected, got {vectors.shape}")
    rows: Vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if not normalised and np.isfinite(np.vdot(rows, rows)):
        return rows
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    fine = np.abs(lengths - 1) <= _TOLERANCE if normalised else np.isfinite(lengths)
    if not fine.all():
        row = int(np.argmin(fine))
        expected = "of length 1" if normalised else "with finite values"
        raise ValueError(f"vectors {expected} expected; that of row {first + row} has the length {lengths[row]:.4g}")
    return rows

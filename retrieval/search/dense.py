"""The passages next to some question vectors, as rows, and the vectors that the index holds of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.versions.passage_index import PassageIndex
from retrieval.encoders.encoder import Vectors


def nearest(index: PassageIndex, queries: Vectors, k: int) -> list[list[int]]:
    """For each of the queries (n, d) the rows of its min(k, size) best passages, best first."""
    return [[row for row, _ in found] for found in nearest_rows(index, queries, k)]


def nearest_rows(
    index: PassageIndex, queries: Vectors, k: int, allowed: NDArray[np.int64] | None = None
) -> list[list[tuple[int, float]]]:
    """The same with their inner products, among the rows ``allowed`` (None: all)."""
    scores, rows = index.nearest(queries, k, allowed)
    pairs = zip(rows.tolist(), scores.tolist(), strict=True)
    return [[(row, score) for row, score in zip(*pair, strict=True) if row >= 0] for pair in pairs]


def stored_vectors(index: PassageIndex, rows: Sequence[int]) -> Vectors:
    """d(z) of passages, (n, d), as the index holds them."""
    return index.vectors_of(rows)

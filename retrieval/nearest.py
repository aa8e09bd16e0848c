"""The passages next to some question vectors, as rows, and the vectors that the index holds of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.opened import Index
from retrieval.encoder import Vectors


def nearest(index: Index, queries: Vectors, k: int) -> list[list[int]]:
    """For each of the queries (n, d) the rows of its min(k, size) best passages, best first."""
    _, rows = index.vectors.search(queries, k)
    return [[int(row) for row in found if row >= 0] for found in rows]


def nearest_rows(
    index: Index, queries: Vectors, k: int, allowed: NDArray[np.int64] | None = None
) -> list[list[tuple[int, float]]]:
    """The same with their inner products, among the rows ``allowed`` (None: all), in order."""
    scores, rows = index.vectors.search(queries, k if allowed is None else len(index.passages))
    found = [
        [(row, score) for row, score in zip(*pair, strict=True) if row >= 0]
        for pair in zip(rows.tolist(), scores.tolist(), strict=True)
    ]
    if allowed is None:
        return found
    among = frozenset(allowed.tolist())
    return [[pair for pair in own if pair[0] in among][:k] for own in found]


def stored_vectors(index: Index, rows: Sequence[int]) -> Vectors:
    """d(z) of passages, (n, d), as the index holds them."""
    if hasattr(index, "vectors_of"):
        vectors: Vectors = index.vectors_of(np.asarray(rows, np.int64))
        return vectors
    return np.stack([index.vectors._faiss.reconstruct(row) for row in rows])

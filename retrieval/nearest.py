"""The passages next to some question vectors, as rows, and the vectors that the index holds of them."""

from __future__ import annotations

from collections.abc import Sequence

from index.opened import Index
from retrieval.encoder import Vectors


def nearest(index: Index, queries: Vectors, k: int) -> list[list[int]]:
    """For each of the queries (n, d) the rows of its min(k, size) best passages, best first."""
    _, rows = index.vectors.search(queries, k)
    return [[int(row) for row in found if row >= 0] for found in rows]


def stored_vectors(index: Index, rows: Sequence[int]) -> Vectors:
    """d(z) of passages, (n, d), as the index holds them."""
    import numpy as np

    if hasattr(index, "vectors_of"):
        vectors: Vectors = index.vectors_of(np.asarray(rows, np.int64))
        return vectors
    return np.stack([index.vectors._faiss.reconstruct(row) for row in rows])

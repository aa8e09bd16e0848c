"""Comparing queries with chosen vectors one by one: exact, in blocks, so that memory holds few vectors at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
_BLOCK = 1 << 14  # 25 MB at d = 384


def blocks_of(rows: Rows, vectors_of: Callable[[Rows], Vectors]) -> Iterator[tuple[Rows, Vectors]]:
    """Rows (m,) and their vectors (m, d), some thousand at a time."""
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        yield block, vectors_of(block)


def best_rows(queries: Vectors, k: int, blocks: Iterable[tuple[Rows, Vectors]]) -> tuple[Vectors, Rows]:
    """The k best of all rows by inner product, best first, for each of the queries (n, d): scores and rows, (n, k).

    There must be at least k rows. Equal scores come in the order of the rows.
    """
    scores = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for numbers, vectors in blocks:
        scores = np.concatenate([scores, queries @ vectors.T], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(numbers, (len(queries), len(numbers)))], axis=1)
        if scores.shape[1] > k:
            scores, rows = _taken(scores, rows, np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1))
    return _taken(scores, rows, np.argsort(-scores, axis=1, kind="stable"))


def _taken(scores: Vectors, rows: Rows, places: NDArray[np.intp]) -> tuple[Vectors, Rows]:
    return np.take_along_axis(scores, places, axis=1), np.take_along_axis(rows, places, axis=1)

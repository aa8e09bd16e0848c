"""Vectors and the search over them. With ``editing.scope`` the only place that knows FAISS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexMismatch, IndexStorageError

EXACT = "exact"
_TOLERANCE = 1e-3  # how far from 1 a normalised vector may be


@dataclass(frozen=True)
class EncoderIdentity:
    """Which encoder made some vectors. Two are the same encoder if digest and dimension agree.

    Attributes:
        name: for people.
        digest: sha256 of the model, 64 hex digits.
        dimension: d, the length of its vectors.
    """

    name: str
    digest: str
    dimension: int


class VectorIndex:
    """Exact search by inner product over normalised vectors, n of them, of dimension d. Never changes once made.

    Safe to search from several threads.
    """

    def __init__(self, faiss_index: Any) -> None:
        self._faiss = faiss_index

    @classmethod
    def of(cls, blocks: Iterable[NDArray[np.float32]], dimension: int) -> VectorIndex:
        """An index of the rows of all blocks (m, d) in order. Raises ValueError if they are not finite unit vectors."""
        import faiss

        index = faiss.IndexFlatIP(dimension)
        for block in blocks:
            rows = _rows(block, dimension)
            lengths = np.linalg.norm(rows, axis=1)
            if not np.all(np.abs(lengths - 1) <= _TOLERANCE):  # also false for NaN
                raise ValueError("vectors of length 1 expected")
            index.add(rows)
        return cls(index)

    @classmethod
    def read(cls, path: Path) -> VectorIndex:
        """Open what :meth:`write` wrote. Raises IndexMismatch if the file is damaged or of another type."""
        import faiss

        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise IndexMismatch(path, f"FAISS cannot read it: {error}") from error
        if not isinstance(index, faiss.IndexFlat) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise IndexMismatch(path, f"expected a flat inner-product index, found {type(index).__name__}")
        return cls(index)

    def write(self, path: Path) -> None:
        """Raises IndexStorageError if the disk does not take it."""
        import faiss

        try:
            faiss.write_index(self._faiss, str(path))
        except RuntimeError as error:
            raise IndexStorageError(f"{path}: {error}") from error

    @property
    def dimension(self) -> int:
        return int(self._faiss.d)

    def __len__(self) -> int:
        return int(self._faiss.ntotal)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best rows for each query, best first.

        Args:
            queries: (n, d), normalised.
            k: how many; cut to the size of the index.

        Returns:
            scores (n, k') and row numbers (n, k'), k' = min(k, size).

        Raises:
            ValueError: k < 1, or queries of another shape.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        queries = _rows(queries, self.dimension)
        k = min(k, len(self))
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        scores, rows = self._faiss.search(queries, k)
        return scores, rows


def _rows(vectors: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"vectors of shape (n, {dimension}) expected, got {vectors.shape}")
    return np.ascontiguousarray(vectors, dtype=np.float32)

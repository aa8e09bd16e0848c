"""Vectors and the search over them. With ``editing.scope`` only this package knows FAISS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.columns import HALF, open_column
from index.comparing import best_rows, blocks_of, compared
from index.errors import IndexMismatch, IndexStorageError
from index.search_types import EXACT, HNSW, IVFPQ, Parameters
from index.selection import Rows, Selection

Vectors = NDArray[np.float32]
VECTORS_FILE = "index.faiss"
HALVES_FILE = "vectors.f16"
_TOLERANCE = 1e-3  # how far from 1 a normalised vector may be
_FEW = 20_000  # rows that are compared one by one sooner than searched through a structure
_MOST_EFFORT = 16  # times as many vectors are looked at where few rows may be found, at most
_CLASSES = {EXACT: ("IndexFlatIP", "IndexFlat"), HNSW: ("IndexHNSWSQ",), IVFPQ: ("IndexPreTransform",)}


@dataclass(frozen=True)
class EncoderIdentity:
    """Which encoder made some vectors. Two are the same encoder if digest and dimension agree.

    Attributes:
        name: for people.
        digest: sha256 of the model, 64 hex digits.
        dimension: d, the length of its vectors.
        normalised: whether they are of length 1; otherwise an index takes any finite ones. The score is the inner
            product in both cases.
    """

    name: str
    digest: str
    dimension: int
    normalised: bool = True


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """Maximum inner product search over n vectors of dimension d. Never changes once made.

    Safe to search from several threads. Scores of all types are inner products with the vectors themselves (of float16
    precision where the type is not exact), so those of several indexes can be compared.

    Attributes:
        faiss_index: FAISS's structure.
        type: which; see ``search_types``.
        parameters: how it is searched.
        halves: (n, d) of float16 on the disk, where the structure itself holds only codes.
        threads: of FAISS, in each search; None: as OMP_NUM_THREADS says.
    """

    faiss_index: Any
    type: str = EXACT
    parameters: Parameters = field(default_factory=dict)
    halves: NDArray[np.float16] | None = None
    threads: int | None = None

    @classmethod
    def of(cls, blocks: Iterable[Vectors], dimension: int, normalised: bool = True) -> VectorIndex:
        """An exact index, in memory, of the rows of all blocks (m, d) in order.

        Raises ValueError if they are not finite vectors, or not unit vectors though ``normalised``.
        """
        import faiss

        index = faiss.IndexFlatIP(dimension)
        for block in blocks:
            index.add(checked(block, dimension, normalised, index.ntotal))
        return cls(index)

    @classmethod
    def read(cls, path: Path, kind: str = EXACT) -> VectorIndex:
        """Open the FAISS file of an index, memory-mapped. Raises IndexMismatch if it is damaged or of another type."""
        import faiss

        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise IndexMismatch(path, f"FAISS cannot read it: {error}") from error
        if type(index).__name__ not in _CLASSES[kind] or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            expected = "a flat inner-product index" if kind == EXACT else f"an inner-product index of type {kind}"
            raise IndexMismatch(path, f"expected {expected}, found {type(index).__name__}")
        return cls(index, kind)

    @classmethod
    def open(cls, directory: Path, kind: str, parameters: Parameters, threads: int | None = None) -> VectorIndex:
        """Open what :func:`index.vector_writer.write_vectors` wrote. Raises IndexMismatch if it is not whole."""
        read = cls.read(directory / VECTORS_FILE, kind)
        shape = (len(read), read.dimension)
        halves = open_column(directory / HALVES_FILE, HALF, shape, scattered=True) if kind == IVFPQ else None
        return cls(read.faiss_index, kind, parameters, halves, threads)

    def write(self, path: Path) -> None:
        """Write FAISS's structure. Raises IndexStorageError if the disk does not take it."""
        import faiss

        try:
            faiss.write_index(self.faiss_index, str(path))
        except RuntimeError as error:
            raise IndexStorageError(f"{path}: {error}") from error

    @property
    def dimension(self) -> int:
        return int(self.faiss_index.d)

    def __len__(self) -> int:
        return int(self.faiss_index.ntotal)

    def vectors_of(self, rows: Rows) -> Vectors:
        """The vectors of some rows (m,), as (m, d). Raises IndexError if there is no such row."""
        numbers = np.asarray(rows, np.int64)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise IndexError(f"rows from 0 to {len(self) - 1} expected")
        if self.halves is not None:
            return self.halves[numbers].astype(np.float32)
        self._use_threads()
        vectors: Vectors = self.faiss_index.reconstruct_batch(np.ascontiguousarray(numbers))
        return vectors

    def search(self, queries: Vectors, k: int, among: Selection | None = None) -> tuple[Vectors, Rows]:
        """The best rows for each query, best first.

        Few rows are compared one by one; where a structure finds fewer than there are, all are compared.

        Args:
            queries: (n, d).
            k: how many; cut to the number of rows that may be found.
            among: which may; None: all.

        Returns:
            scores (n, k') and row numbers (n, k'), k' = min(k, rows that may be found).

        Raises:
            ValueError: k < 1, or queries of another shape, or not finite.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        queries = checked(queries, self.dimension, normalised=False)
        size = len(self) if among is None else among.count
        k = min(k, size)
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        if among is not None and size <= _FEW:
            return best_rows(queries, k, blocks_of(among.rows, self.vectors_of))
        if self.type == EXACT or k > size // 8:
            return self._exhaustive(queries, k, among)
        scores, rows = self._structured(queries, k, among)
        lacking = (rows < 0).any(axis=1)
        if lacking.any():
            scores[lacking], rows[lacking] = self._exhaustive(queries[lacking], k, among)
        return scores, rows

    def _exhaustive(self, queries: Vectors, k: int, among: Selection | None) -> tuple[Vectors, Rows]:
        """Every row that may be found is compared."""
        import faiss

        if self.type == IVFPQ:
            rows = np.arange(len(self)) if among is None else among.rows
            return best_rows(queries, k, blocks_of(rows, self.vectors_of))
        flat = faiss.downcast_index(self.faiss_index.storage) if self.type == HNSW else self.faiss_index
        self._use_threads()
        only = None if among is None else faiss.SearchParameters(sel=among.selector)  # type: ignore[call-arg]
        found: tuple[Vectors, Rows] = flat.search(queries, k, params=only)
        return found

    def _structured(self, queries: Vectors, k: int, among: Selection | None) -> tuple[Vectors, Rows]:
        """Through the graph or the lists; row -1 where less than k is found."""
        import faiss

        effort = 1.0 if among is None else min(_MOST_EFFORT, len(self) / among.count)
        only = {} if among is None else {"sel": among.selector}
        self._use_threads()
        if self.type == HNSW:
            looked_at = int(effort * max(self.parameters["ef_search"], 2 * k))
            graph = faiss.SearchParametersHNSW(efSearch=looked_at, **only)  # type: ignore[attr-defined]
            found: tuple[Vectors, Rows] = self.faiss_index.search(queries, k, params=graph)
            return found
        probes = min(self.parameters["lists"], int(effort * self.parameters["probes"]))
        lists = faiss.SearchParametersIVF(nprobe=probes, **only)  # type: ignore[call-arg]
        candidates = min(len(self), max(self.parameters["candidates"], 4 * k))
        behind_rotation = faiss.SearchParametersPreTransform(index_params=lists)  # type: ignore[call-arg]
        _, rows = self.faiss_index.search(queries, candidates, params=behind_rotation)
        return compared(queries, k, rows, self.vectors_of)

    def _use_threads(self) -> None:
        """OpenMP keeps the number for each thread that calls it."""
        if self.threads is not None:
            import faiss

            faiss.omp_set_num_threads(self.threads)


def checked(vectors: Vectors, dimension: int, normalised: bool, first: int = 0) -> Vectors:
    """Vectors (n, d) as FAISS takes them.

    Raises:
        ValueError: another shape, values that are not finite, or lengths other than 1 though ``normalised``; names the
            row, counted from ``first``.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"vectors of shape (n, {dimension}) expected, got {vectors.shape}")
    rows: Vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    fine = np.abs(lengths - 1) <= _TOLERANCE if normalised else np.isfinite(lengths)
    if not fine.all():
        row = int(np.argmin(fine))
        expected = "of length 1" if normalised else "with finite values"
        raise ValueError(f"vectors {expected} expected; that of row {first + row} has the length {lengths[row]:.4g}")
    return rows

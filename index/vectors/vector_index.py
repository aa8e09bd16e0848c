"""Vectors and the search over them. With ``editing.scope.index`` only this package knows FAISS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexMismatch, IndexStorageError
from index.vectors.exact_search import best_rows, blocks_of
from index.vectors.search_types import EXACT, HNSW, IVFPQ, Parameters
from index.vectors.selection import Rows, Selection
from index.vectors.validation import checked

Vectors = NDArray[np.float32]
VECTORS_FILE = "index.faiss"
HALF_VECTORS_FILE = "vectors.faiss"  # of float16, where the structure itself holds only codes
_FEW = 20_000  # rows that are compared one by one sooner than searched through a structure
_MOST_EFFORT = 16  # times as many vectors are looked at where few rows may be found, at most
_HALF_VECTORS = "vectors of an index"  # what HALF_VECTORS_FILE holds
_CLASSES = {
    EXACT: ("IndexFlatIP", "IndexFlat"),
    HNSW: ("IndexHNSWSQ",),
    IVFPQ: ("IndexPreTransform",),
    _HALF_VECTORS: ("IndexScalarQuantizer",),
}


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
        half_vectors: FAISS's flat index of the vectors, of float16 and on the disk, if the structure holds only codes.
        threads: of FAISS, in each search; None: as OMP_NUM_THREADS says.
    """

    faiss_index: Any
    type: str = EXACT
    parameters: Parameters = field(default_factory=dict)
    half_vectors: Any = None
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
        """Open what :func:`index.vectors.writer.write_vectors` wrote. Raises IndexMismatch if it is not whole."""
        read = cls.read(directory / VECTORS_FILE, kind)
        half_vectors = cls.read(directory / HALF_VECTORS_FILE, _HALF_VECTORS) if kind == IVFPQ else None
        if half_vectors is not None and (len(half_vectors), half_vectors.dimension) != (len(read), read.dimension):
            raise IndexMismatch(
                directory / HALF_VECTORS_FILE, f"holds {len(half_vectors)} vectors, the structure {len(read)}"
            )
        return cls(read.faiss_index, kind, parameters, half_vectors and half_vectors.faiss_index, threads)

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
        self._use_threads()
        vectors: Vectors = self._flat.reconstruct_batch(np.ascontiguousarray(numbers))
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

    @cached_property
    def _flat(self) -> Any:
        """FAISS's index of the vectors themselves."""
        import faiss

        if self.type == HNSW:
            return faiss.downcast_index(self.faiss_index.storage)
        return self.half_vectors or self.faiss_index

    @cached_property
    def _refined(self) -> Any:
        """The lists, whose best candidates are compared with the vectors themselves."""
        import faiss

        return faiss.IndexRefine(self.faiss_index, self.half_vectors)

    def _exhaustive(self, queries: Vectors, k: int, among: Selection | None) -> tuple[Vectors, Rows]:
        """Every row that may be found is compared."""
        import faiss

        self._use_threads()
        only = None if among is None else faiss.SearchParameters(sel=among.selector)  # type: ignore[call-arg]
        found: tuple[Vectors, Rows] = self._flat.search(queries, k, params=only)
        return found

    def _structured(self, queries: Vectors, k: int, among: Selection | None) -> tuple[Vectors, Rows]:
        """Through the graph or the lists; row -1 where less than k is found."""
        effort = 1.0 if among is None else min(_MOST_EFFORT, len(self) / among.count)
        only = {} if among is None else {"sel": among.selector}
        self._use_threads()
        found: tuple[Vectors, Rows]
        if self.type == HNSW:
            found = self.faiss_index.search(queries, k, params=self._graph(k, effort, only))
        else:
            found = self._refined.search(queries, k, params=self._lists(k, effort, only))
        return found

    @cached_property
    def _usual(self) -> Any:
        """How the graph is searched for few among all; never written to."""
        import faiss

        return faiss.SearchParametersHNSW(efSearch=self.parameters["ef_search"])  # type: ignore[attr-defined]

    def _graph(self, k: int, effort: float, only: dict[str, Any]) -> Any:
        import faiss

        looked_at = int(effort * max(self.parameters["ef_search"], 2 * k))
        if not only and looked_at == self.parameters["ef_search"]:
            return self._usual
        return faiss.SearchParametersHNSW(efSearch=looked_at, **only)  # type: ignore[attr-defined]

    def _lists(self, k: int, effort: float, only: dict[str, Any]) -> Any:
        import faiss

        probes = min(self.parameters["lists"], int(effort * self.parameters["probes"]))
        lists = faiss.SearchParametersIVF(nprobe=probes, **only)  # type: ignore[call-arg]
        behind_rotation = faiss.SearchParametersPreTransform(index_params=lists)  # type: ignore[call-arg]
        candidates = min(len(self), max(self.parameters["candidates"], 4 * k))
        return faiss.IndexRefineSearchParameters(  # type: ignore[call-arg]
            k_factor=(candidates + 0.5) / k, base_index_params=behind_rotation
        )

    def _use_threads(self) -> None:
        """OpenMP keeps the number for each thread that calls it."""
        if self.threads is not None:
            import faiss

            faiss.omp_set_num_threads(self.threads)

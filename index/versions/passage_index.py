"""The index of one version: a value that is searched and never changes; opening it verifies its files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.atomic_files import storing
from index.passages.passage import Hit, Passage
from index.passages.sequence import PassageSequence
from index.segments.segment import Segment
from index.vectors.selection import Mask, Rows
from index.vectors.vector_index import EncoderIdentity, Vectors
from index.versions.manifest import MANIFEST_FILE, Manifest, read_manifest
from index.versions.verification import check_encoder, check_files


@dataclass(frozen=True, eq=False)
class LivePassages(PassageSequence):
    """The passages of an index by row, deleted ones left out; read from the disk when they are asked for."""

    segments: tuple[Segment, ...]

    @cached_property
    def starts(self) -> list[int]:
        """The row of the first passage of each segment, and the number of all."""
        return list(accumulate(map(len, self.segments), initial=0))

    def __len__(self) -> int:
        return self.starts[-1]

    def passage(self, row: int) -> Passage:
        place = bisect_right(self.starts, row) - 1
        return self.segments[place].passage(row - self.starts[place])

    def __iter__(self) -> Iterator[Passage]:
        return chain.from_iterable(segment.passages() for segment in self.segments)


@dataclass(frozen=True, eq=False)
class PassageIndex:
    """One version, open. Rows count the passages that are not deleted, from 0 to n - 1: row i everywhere here.

    Safe to use from several threads, and also after the version's directory has been removed.

    Attributes:
        manifest: what it is made of.
        segments: its parts, in the order of the rows.
    """

    manifest: Manifest
    segments: tuple[Segment, ...] = field(repr=False)

    @cached_property
    def passages(self) -> LivePassages:
        return LivePassages(self.segments)

    def search(self, queries: Vectors, k: int, allowed: Rows | Mask | None = None) -> list[list[Hit]]:
        """For each of the queries (n, d) its min(k, allowed) best passages, best first. See :meth:`nearest`."""
        scores, rows = self.nearest(queries, k, allowed)
        return [
            [Hit(self.passages[row], score, rank) for rank, (row, score) in enumerate(found, start=1)]
            for found in (zip(*pair, strict=True) for pair in zip(rows.tolist(), scores.tolist(), strict=True))
        ]

    def nearest(self, queries: Vectors, k: int, allowed: Rows | Mask | None = None) -> tuple[Vectors, Rows]:
        """The best rows for each query, best first.

        Args:
            queries: (n, d).
            k: how many; cut to the number of rows that may be found.
            allowed: which may: row numbers in any order, or a mask (n passages,); None: all.

        Returns:
            inner products and rows, (n, k').

        Raises:
            ValueError: k < 1, or queries or a mask of another shape.
            IndexError: a row that there is not.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        allowed = None if allowed is None else self._checked(np.asarray(allowed))
        found = [
            (scores, rows + start)
            for start, segment in zip(self.passages.starts, self.segments, strict=False)
            for scores, rows in [segment.search(queries, k, _part(allowed, start, len(segment)))]
        ]
        if len(found) == 1:
            return found[0]
        scores, rows = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)

    def rows_where(self, titles: Iterable[str] | None = None, sources: Iterable[str] | None = None) -> Rows:
        """Rows, ascending, of passages whose title is one of ``titles`` and whose source is one of ``sources``.

        Letter for letter; None: any. For ``allowed`` of :meth:`search`. Titles and sources are compared by a digest of
        64 bits, so that no passage is read.
        """
        titles = None if titles is None else tuple(titles)
        sources = None if sources is None else tuple(sources)
        parts = zip(self.passages.starts, self.segments, strict=False)
        return np.concatenate([segment.live_where(titles, sources) + start for start, segment in parts])

    def vectors_of(self, rows: Rows | Sequence[int]) -> Vectors:
        """The vectors of some rows (m,), as (m, d), as the index holds them. Raises IndexError."""
        numbers = np.asarray(rows, np.int64)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(self.passages)):
            raise IndexError(f"rows from 0 to {len(self.passages) - 1} expected")
        vectors = np.empty((len(numbers), self.manifest.dimension), np.float32)
        for start, segment in zip(self.passages.starts, self.segments, strict=False):
            here = (numbers >= start) & (numbers < start + len(segment))
            if here.any():
                vectors[here] = segment.vectors_of(numbers[here] - start)
        return vectors

    def rows_of(self, passage_ids: Sequence[str]) -> Rows:
        """The row of each id, (m,); -1 where there is no such passage, or not any more."""
        rows = np.full(len(passage_ids), -1, np.int64)
        for start, segment in zip(self.passages.starts, self.segments, strict=False):
            live = segment.live_rows_of(passage_ids)
            rows = np.where(live >= 0, live + start, rows)
        return rows

    def find(self, passage_id: str) -> Passage | None:
        """The passage of this id as it is in this version; None if there is none."""
        row = int(self.rows_of([passage_id])[0])
        passage = self.passages[row] if row >= 0 else None
        return passage if passage is not None and passage.id == passage_id else None

    def _checked(self, allowed: NDArray[Any]) -> Rows | Mask:
        """Rows ascending and each once, or the mask."""
        if allowed.dtype == np.bool_:
            if allowed.shape != (len(self.passages),):
                raise ValueError(f"a mask of shape ({len(self.passages)},) expected, got {allowed.shape}")
            return allowed
        rows = np.unique(allowed.astype(np.int64))
        if len(rows) and (rows[0] < 0 or rows[-1] >= len(self.passages)):
            raise IndexError(f"rows from 0 to {len(self.passages) - 1} expected")
        return rows


def open_index(directory: Path, encoder: EncoderIdentity, threads: int | None = None) -> PassageIndex:
    """Open the version in ``directory`` for queries of ``encoder``.

    Files are mapped into memory, not read: opening takes as long for a large index as for a small one. All sizes are
    verified, and the digests of the files up to ``verification.DIGESTED_AT_OPEN`` bytes; ``verify_index`` the rest.

    Args:
        directory: of the version.
        encoder: of the queries.
        threads: of FAISS in each search; None: as OMP_NUM_THREADS says.

    Raises:
        IndexMismatch: a file is not what the manifest says, or the encoder is another one; names file and reason.
        IndexStorageError: a file cannot be read.
    """
    with storing(directory):
        manifest = read_manifest(directory)
        check_encoder(directory / MANIFEST_FILE, manifest, encoder)
        check_files(directory, manifest)
        segments = tuple(Segment.open(directory, record, manifest.dimension, threads) for record in manifest.segments)
    return PassageIndex(manifest, segments)


def _part(allowed: Rows | Mask | None, start: int, size: int) -> Rows | Mask | None:
    """What of ``allowed`` is in the segment of ``size`` rows from ``start``, numbered from 0."""
    if allowed is None:
        return None
    if allowed.dtype == np.bool_:
        return allowed[start : start + size]
    first, behind = np.searchsorted(allowed, (start, start + size))
    return np.asarray(allowed[first:behind], np.int64) - start

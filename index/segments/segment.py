"""A segment: passages and the search over their vectors, which never change, and which of them are deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from index.errors import IndexMismatch
from index.passages.column import ROW, Keys, open_column
from index.passages.id_table import text_key
from index.passages.passage import Passage
from index.passages.passage_file import PASSAGES_FILE, PassageFile
from index.segments.record import SegmentRecord
from index.vectors.selection import Mask, Rows, Selection
from index.vectors.vector_index import VECTORS_FILE, VectorIndex, Vectors

DELETED_FILE = "deleted.u32"
_BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class Segment:
    """Vector row i belongs to passage i. The rows that are not deleted have live numbers, 0 to ``len`` - 1, in order.

    Attributes:
        record: what the manifest says of it.
        vectors: of all rows.
        file: their passages, also the deleted ones.
        deleted: rows, ascending; they are never found and never given out.
    """

    record: SegmentRecord
    vectors: VectorIndex
    file: PassageFile
    deleted: Rows

    @classmethod
    def open(cls, directory: Path, record: SegmentRecord, dimension: int, threads: int | None = None) -> Segment:
        """Open a segment of the version in ``directory``. Raises IndexMismatch if its files do not fit each other."""
        place = directory / record.name
        vectors = VectorIndex.open(place, record.type, record.parameters, threads)
        if vectors.dimension != dimension:
            why = f"vectors of dimension {vectors.dimension}; the manifest says {dimension}"
            raise IndexMismatch(place / VECTORS_FILE, why)
        file = PassageFile.open(place)
        for name, count in ((VECTORS_FILE, len(vectors)), (PASSAGES_FILE, len(file))):
            if count != record.rows:
                raise IndexMismatch(place / name, f"holds {count} entries; the manifest says {record.rows}")
        deleted = np.empty(0, np.int64)
        if record.deleted:
            deleted = open_column(place / DELETED_FILE, ROW, (record.deleted,)).astype(np.int64)
            if np.any(np.diff(deleted) < 1) or deleted[-1] >= record.rows:
                raise IndexMismatch(place / DELETED_FILE, "not ascending row numbers of the segment")
        return cls(record, vectors, file, deleted)

    def __len__(self) -> int:
        return self.record.live

    @cached_property
    def _gaps(self) -> Rows:
        """How many live rows come before each deleted one."""
        return self.deleted - np.arange(len(self.deleted))

    @cached_property
    def _alive(self) -> Selection | None:
        return Selection.of_mask(self._live_mask()) if len(self.deleted) else None

    def rows_of(self, live: Rows) -> Rows:
        """The rows of live numbers (m,)."""
        return live + np.searchsorted(self._gaps, live, side="right") if len(self.deleted) else live

    def live_of(self, rows: Rows) -> Rows:
        """The live numbers of rows (m,), none of them deleted."""
        return rows - np.searchsorted(self.deleted, rows) if len(self.deleted) else rows

    def search(self, queries: Vectors, k: int, allowed: Rows | Mask | None = None) -> tuple[Vectors, Rows]:
        """The best live numbers for each of the queries (n, d), best first: scores and numbers (n, min(k, possible)).

        ``allowed``: live numbers, ascending, or a mask (len,) of them; None: all.
        """
        scores, rows = self.vectors.search(queries, k, self._selection(allowed))
        return scores, self.live_of(rows)

    def vectors_of(self, live: Rows) -> Vectors:
        return self.vectors.vectors_of(self.rows_of(live))

    def passage(self, live: int) -> Passage:
        return self.file[int(self.rows_of(np.array([live]))[0]) if len(self.deleted) else live]

    def passages(self) -> Iterator[Passage]:
        """All live ones, in order."""
        deleted = iter(self.deleted.tolist())
        next_deleted = next(deleted, -1)
        for row, passage in enumerate(self.file):
            if row == next_deleted:
                next_deleted = next(deleted, -1)
            else:
                yield passage

    def blocks(self) -> Iterator[Vectors]:
        """The vectors of all live rows, in order, some thousand at a time."""
        for first in range(0, len(self), _BLOCK):
            yield self.vectors_of(np.arange(first, min(first + _BLOCK, len(self))))

    def article_keys(self, live: Rows) -> Keys:
        """One number for title and source of each of the live numbers (m,)."""
        rows = self.rows_of(live)
        return article_keys(self.file.titles[rows], self.file.sources[rows])

    def live_rows_of(self, passage_ids: Sequence[str]) -> Rows:
        """The live number of each id, (m,); -1 where there is none, or only a deleted one."""
        rows = self.file.rows_of(passage_ids)
        gone = (rows < 0) | np.isin(rows, self.deleted)
        return np.where(gone, -1, self.live_of(rows))

    def live_where(self, titles: Iterable[str] | None, sources: Iterable[str] | None) -> Rows:
        """Live numbers, ascending, of passages of one of the titles and of one of the sources; None: of any."""
        rows = _rows_where(self.file.titles, titles, None)
        rows = _rows_where(self.file.sources, sources, rows)
        if rows is None:
            return np.arange(len(self))
        return self.live_of(rows[~np.isin(rows, self.deleted)])

    def _live_mask(self) -> Mask:
        mask = np.ones(self.record.rows, np.bool_)
        mask[self.deleted] = False
        return mask

    def _selection(self, allowed: Rows | Mask | None) -> Selection | None:
        if allowed is None:
            return self._alive
        if allowed.dtype != np.bool_:
            return Selection.of_rows(self.rows_of(np.asarray(allowed, np.int64)), self.record.rows)
        mask = self._live_mask()
        mask[mask] = allowed
        return Selection.of_mask(mask)


def article_keys(titles: Keys, sources: Keys) -> Keys:
    """One number for each pair (m,); multiplying by an odd number loses nothing."""
    return np.asarray(titles * np.uint64(0x9E3779B97F4A7C15) ^ sources)


def _rows_where(column: Keys, texts: Iterable[str] | None, among: Rows | None) -> Rows | None:
    """Of the rows ``among`` (None: all) those whose text is one of ``texts`` (None: any)."""
    if texts is None:
        return among
    keys = np.array([text_key(text) for text in texts], column.dtype)
    if among is None:
        return np.flatnonzero(np.isin(column, keys))
    return among[np.isin(column[among], keys)]

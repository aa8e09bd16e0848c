"""Passages on disk: a sequence of any length that memory holds nothing of but the pages in use."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexMismatch
from index.passages.column import KEY, Keys, open_column
from index.passages.id_table import ID_ROWS_FILE, IDS_FILE, IdTable, id_key, text_key
from index.passages.passage import Passage, from_line
from index.passages.sequence import PassageSequence

PASSAGES_FILE = "passages.jsonl"
OFFSETS_FILE = "offsets.u64"
TITLES_FILE = "titles.u64"
SOURCES_FILE = "sources.u64"
PASSAGE_FILES = (PASSAGES_FILE, OFFSETS_FILE, IDS_FILE, ID_ROWS_FILE, TITLES_FILE, SOURCES_FILE)
_BYTES = 1 << 22
_BLOCK = 4096  # rows read at a time when iterating


@dataclass(frozen=True, eq=False)
class PassageFile(PassageSequence):
    """The passages of ``passages.jsonl``, n of them, by row. Safe to read from several threads.

    It stays readable when its directory is removed (the system keeps a mapped file as long as it is mapped).

    Attributes:
        path: the file of lines.
        offsets: (n + 1,), where each line begins, and the end of the last.
        ids: rows by passage id.
        titles: (n,), ``text_key`` of each title.
        sources: (n,), likewise of the source.
    """

    path: Path
    lines: mmap.mmap | bytes
    offsets: Keys
    ids: IdTable
    titles: Keys
    sources: Keys

    @classmethod
    def open(cls, directory: Path) -> PassageFile:
        """Open what :func:`index.passages.writer.write_passages` wrote, or a ``passages.jsonl`` alone.

        A file alone, as releases before 0.2 wrote it, is read once from end to end.

        Raises:
            IndexMismatch: a file is missing, cut short, or does not fit the others.
            OSError: a file cannot be read.
        """
        path = directory / PASSAGES_FILE
        lines = _mapped(path)
        if not any((directory / name).exists() for name in PASSAGE_FILES[1:]):
            return _indexed(path, lines)
        if not (directory / OFFSETS_FILE).is_file():
            raise IndexMismatch(directory / OFFSETS_FILE, "the file is missing")
        rows = (directory / OFFSETS_FILE).stat().st_size // KEY.itemsize - 1
        offsets = open_column(directory / OFFSETS_FILE, KEY, (max(rows, 0) + 1,))
        if int(offsets[0]) or int(offsets[-1]) != len(lines):
            raise IndexMismatch(path, f"holds {len(lines)} bytes; its offsets say {int(offsets[-1])}")
        columns = (open_column(directory / name, KEY, (rows,)) for name in (TITLES_FILE, SOURCES_FILE))
        return cls(path, lines, offsets, IdTable.open(directory, rows), *columns)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def passage(self, row: int) -> Passage:
        """Raises IndexMismatch, naming the line, if what stands there is not a passage."""
        return self._parsed(row, self.lines[int(self.offsets[row]) : int(self.offsets[row + 1])])

    def __iter__(self) -> Iterator[Passage]:
        for first in range(0, len(self), _BLOCK):
            ends = self.offsets[first : first + _BLOCK + 1].tolist()
            self._read_ahead(ends[0], ends[-1])
            for row, (start, end) in enumerate(pairwise(ends), start=first):
                yield self._parsed(row, self.lines[start:end])

    def blocks(self) -> Iterator[bytes]:
        """The lines as they are, some megabytes at a time."""
        for start in range(0, len(self.lines), _BYTES):
            self._read_ahead(start, start + _BYTES)
            yield self.lines[start : start + _BYTES]

    def row_of(self, passage_id: str) -> int | None:
        """The row of the passage of this id; None if there is none."""
        row = int(self.rows_of([passage_id])[0])
        return None if row < 0 or self[row].id != passage_id else row

    def rows_of(self, passage_ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of each id, (m,); -1 where there is none."""
        return self.ids.rows_of(np.array([id_key(one) for one in passage_ids], KEY))

    def _read_ahead(self, start: int, end: int) -> None:
        if isinstance(self.lines, mmap.mmap):
            start -= start % mmap.PAGESIZE
            self.lines.madvise(mmap.MADV_WILLNEED, start, min(end, len(self.lines)) - start)

    def _parsed(self, row: int, line: bytes) -> Passage:
        try:
            return from_line(line)
        except (ValueError, KeyError, TypeError) as error:
            raise IndexMismatch(self.path, f"line {row + 1} is not a passage: {error}") from error


def _mapped(path: Path) -> mmap.mmap | bytes:
    if not path.is_file():
        raise IndexMismatch(path, "the file is missing")
    with path.open("rb") as stream:
        empty = os.fstat(stream.fileno()).st_size == 0
        if empty:
            return b""  # nothing can be mapped
        lines = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    lines.madvise(mmap.MADV_RANDOM)  # a hit is one page, not the neighbours too
    return lines


def _indexed(path: Path, lines: mmap.mmap | bytes) -> PassageFile:
    """What the other files would hold, from the lines."""
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
    offsets = np.concatenate([[0], ends]).astype(KEY)
    if int(offsets[-1]) != len(lines):
        raise IndexMismatch(path, "its last line has no end; the file was cut short")
    none = np.empty(0, KEY)
    passages = list(PassageFile(path, lines, offsets, IdTable(none, none.astype(np.uint32)), none, none))
    keys = np.array([id_key(one.id) for one in passages], KEY)
    order = np.argsort(keys, kind="stable")
    titles = np.array([text_key(one.title) for one in passages], KEY)
    sources = np.array([text_key(one.source) for one in passages], KEY)
    return PassageFile(path, lines, offsets, IdTable(keys[order], order.astype(np.uint32)), titles, sources)

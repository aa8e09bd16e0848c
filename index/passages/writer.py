"""Cutting a corpus of any size into a passage file: a stream in, files out, memory that does not grow with either."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from errata.files import file_digest, sync
from index.atomic_files import replace_file, storing
from index.errors import IndexMismatch
from index.passages.column import KEY, ROW, open_column
from index.passages.id_table import ID_ROWS_FILE, id_key, text_key, write_id_table
from index.passages.passage import WORDS_PER_PASSAGE, Article, Passage, Split, split_article, to_line
from index.passages.passage_file import (
    OFFSETS_FILE,
    PASSAGE_FILES,
    PASSAGES_FILE,
    SOURCES_FILE,
    TITLES_FILE,
    PassageFile,
)

_SPLIT_FILE = "split.json"
_KEYS_FILE = ".keys"  # ids in the order of the rows, while it is written
_PER_ROW = (_KEYS_FILE, TITLES_FILE, SOURCES_FILE)
_BATCH = 1 << 12
_STREAM = 1 << 20


@dataclass(frozen=True)
class _Counts:
    articles: int = 0
    empty: int = 0
    duplicates: int = 0


def write_passages(articles: Iterable[Article], directory: Path, words: int = WORDS_PER_PASSAGE) -> Split:
    """Cut a corpus as :func:`index.passages.passage.split_articles` does, but onto the disk.

    This is the way for large corpora: embed ``split.passages`` (a PassageFile, by slices or by iterating), then give
    the split to :func:`index.versions.build.build_index`, which links its files and reads none of them into memory;
    then the directory can be removed. :func:`read_split` finds a finished one again, so that a dump is read only once.

    Args:
        articles: any number.
        directory: for the passage file; made if it is not there. What an earlier, unfinished call left is replaced.
        words: at most in a passage.

    Raises:
        IndexStorageError: the disk does not take it.
    """
    counts = _Counts()

    def passages() -> Iterator[Passage]:
        nonlocal counts
        for article in articles:
            pieces = split_article(article, words)
            first = next(pieces, None)
            counts = replace(
                counts, articles=counts.articles + (first is not None), empty=counts.empty + (first is None)
            )
            if first is not None:
                yield first
            yield from pieces

    duplicates = write_passage_file(passages(), directory)
    counts = replace(counts, duplicates=duplicates)
    digest = file_digest(directory / PASSAGES_FILE)
    replace_file(directory / _SPLIT_FILE, json.dumps({**asdict(counts), "sha256": digest}).encode())
    return _split(PassageFile.open(directory), counts)


def read_split(directory: Path) -> Split | None:
    """What :func:`write_passages` finished in ``directory``; None if it did not, or if a file has changed since."""
    try:
        fields = json.loads((directory / _SPLIT_FILE).read_bytes())
        digest = fields.pop("sha256")
        if file_digest(directory / PASSAGES_FILE) != digest:
            return None
        return _split(PassageFile.open(directory), _Counts(**fields))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexMismatch):
        return None


def write_passage_file(passages: Iterable[Passage], directory: Path) -> int:
    """Write the files of a PassageFile. Returns how many passages were left out: the id of each was there before.

    Raises:
        IndexStorageError: the disk does not take it.
    """
    with storing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / _SPLIT_FILE).unlink(missing_ok=True)
        rows = _write_rows(passages, directory)
        repeated = write_id_table(directory, open_column(directory / _KEYS_FILE, KEY, (rows,)))
        if len(repeated):
            _leave_out(directory, rows, repeated)
        (directory / _KEYS_FILE).unlink()
        for name in PASSAGE_FILES:
            sync(directory / name)
    return len(repeated)


def _split(passages: PassageFile, counts: _Counts) -> Split:
    return Split(passages, counts.articles, counts.empty, counts.duplicates)


def _write_rows(passages: Iterable[Passage], directory: Path) -> int:
    """Every passage, duplicates too: its line, where the line ends, and its keys. Returns how many."""
    rows = end = 0
    with ExitStack() as stack:
        lines, offsets = (_create(stack, directory / name) for name in (PASSAGES_FILE, OFFSETS_FILE))
        columns = [_create(stack, directory / name) for name in _PER_ROW]
        offsets.write(np.zeros(1, KEY).tobytes())
        for batch in _batches(passages):
            written = [lines.write(to_line(passage)) for passage in batch]
            ends = end + np.cumsum(written)
            offsets.write(ends.astype(KEY).tobytes())
            keys = [(id_key(p.id), text_key(p.title), text_key(p.source)) for p in batch]
            for column, values in zip(columns, zip(*keys, strict=True), strict=True):
                column.write(np.array(values, KEY).tobytes())
            rows, end = rows + len(batch), int(ends[-1])
    return rows


def _batches(passages: Iterable[Passage]) -> Iterator[list[Passage]]:
    batch: list[Passage] = []
    for passage in passages:
        batch.append(passage)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _create(stack: ExitStack, path: Path) -> BinaryIO:
    """A new file; one of the name that is there may be linked to elsewhere and is not written to."""
    path.unlink(missing_ok=True)
    return stack.enter_context(path.open("wb", buffering=_STREAM))


def _leave_out(directory: Path, rows: int, repeated: NDArray[np.int64]) -> None:
    """Write all files again without the repeated rows."""
    offsets = open_column(directory / OFFSETS_FILE, KEY, (rows + 1,))
    with (directory / PASSAGES_FILE).open("rb") as old, (directory / ".lines").open("wb", buffering=_STREAM) as new:
        for start, kept in _kept(rows, repeated):
            sizes = np.diff(offsets[start : start + len(kept) + 1].astype(np.int64))
            for size, keep in zip(sizes.tolist(), kept.tolist(), strict=True):
                line = old.read(size)
                if keep:
                    new.write(line)
    _rewrite(directory / OFFSETS_FILE, KEY, _new_offsets(offsets, rows, repeated))
    for name in (TITLES_FILE, SOURCES_FILE):
        column = open_column(directory / name, KEY, (rows,))
        _rewrite(directory / name, KEY, (column[at : at + len(kept)][kept] for at, kept in _kept(rows, repeated)))
    table = open_column(directory / ID_ROWS_FILE, ROW, (rows - len(repeated),))
    blocks = (table[at : at + _STREAM].astype(np.int64) for at in range(0, len(table), _STREAM))
    _rewrite(directory / ID_ROWS_FILE, ROW, (block - np.searchsorted(repeated, block) for block in blocks))
    (directory / ".lines").replace(directory / PASSAGES_FILE)


def _kept(rows: int, repeated: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Block by block: the first row, and which of the block's rows stay."""
    for start in range(0, rows, _STREAM):
        numbers = np.arange(start, min(start + _STREAM, rows))
        yield start, ~np.isin(numbers, repeated[slice(*np.searchsorted(repeated, (start, start + _STREAM)))])


def _new_offsets(offsets: NDArray[Any], rows: int, repeated: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    end = 0
    yield np.zeros(1, np.int64)
    for start, kept in _kept(rows, repeated):
        sizes = np.diff(offsets[start : start + len(kept) + 1].astype(np.int64))[kept]
        ends: NDArray[np.int64] = end + np.cumsum(sizes, dtype=np.int64)
        end = int(ends[-1]) if len(ends) else end
        yield ends


def _rewrite(path: Path, dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]) -> None:
    beside = path.with_name(f".{path.name}")
    with beside.open("wb") as stream:
        for block in blocks:
            stream.write(block.astype(dtype).tobytes())
    beside.replace(path)

"""A table from passage ids to rows: sorted on disk in bounded memory, searched without reading it whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.passages.column import KEY, ROW, Keys, open_column

IDS_FILE = "ids.u64"
ID_ROWS_FILE = "id_rows.u32"
RUN = 1 << 21  # rows sorted at a time: 24 MB
_OURS = re.compile(r"p_[0-9a-f]{12}")
_ENTRY = np.dtype([("key", "<u8"), ("row", "<u4")])


def id_key(passage_id: str) -> int:
    """64 bits for an id: the 12 hex digits of ours, as they are; a digest, with the highest bit set, of any other."""
    if _OURS.fullmatch(passage_id):
        return int(passage_id[2:], 16)
    return text_key(passage_id) | 1 << 63


def text_key(text: str) -> int:
    """64 bits for a title or a source. Among 21 million texts two have the same with probability 1 in 80,000."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@dataclass(frozen=True, eq=False)
class IdTable:
    """Which row has which key.

    Attributes:
        keys: (n,), ascending.
        rows: (n,), the row of each.
    """

    keys: Keys
    rows: NDArray[np.uint32]

    @classmethod
    def open(cls, directory: Path, rows: int) -> IdTable:
        """Raises IndexMismatch if a file is missing or of another size."""
        keys = open_column(directory / IDS_FILE, KEY, (rows,))
        return cls(keys, open_column(directory / ID_ROWS_FILE, ROW, (rows,)))

    def rows_of(self, keys: Keys) -> NDArray[np.int64]:
        """The row of each of the keys (m,); -1 where there is none."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        wanted = np.asarray(keys, self.keys.dtype)  # of another type, numpy would copy the whole column
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found: NDArray[np.int64] = self.rows[places].astype(np.int64)
        found[self.keys[places] != wanted] = -1
        return found


def write_id_table(directory: Path, keys: Keys) -> NDArray[np.int64]:
    """Sort ``keys`` (n,), in the order of the rows, into the table's files; of equal keys the first row is kept.

    Runs are sorted on disk and merged by ranges of the keys, so that memory holds a few million entries at a time,
    and beside them the duplicates.

    Returns:
        The rows left out because an earlier one has the same key, ascending.
    """
    runs_path = directory / ".runs"
    starts = range(0, len(keys), RUN)
    with runs_path.open("wb") as stream:
        for start in starts:
            stream.write(_sorted_run(keys[start : start + RUN], start).tobytes())
    entries = open_column(runs_path, _ENTRY, (len(keys),))
    runs = [entries[start : start + RUN] for start in starts]
    repeated: list[NDArray[np.int64]] = []
    with (directory / IDS_FILE).open("wb") as ids, (directory / ID_ROWS_FILE).open("wb") as rows:
        for merged in _merged(runs):
            again = np.zeros(len(merged), bool)
            again[1:] = merged["key"][1:] == merged["key"][:-1]
            repeated.append(merged["row"][again].astype(np.int64))
            ids.write(merged["key"][~again].tobytes())
            rows.write(merged["row"][~again].tobytes())
    runs_path.unlink()
    return np.sort(np.concatenate(repeated)) if repeated else np.empty(0, np.int64)


def _sorted_run(keys: Keys, start: int) -> NDArray[Any]:
    order = np.argsort(keys, kind="stable")
    run = np.empty(len(keys), _ENTRY)
    run["key"], run["row"] = keys[order], order + start
    return run


def _merged(runs: list[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """All entries by key and then row, in pieces that never part equal keys."""
    sample = np.sort(np.concatenate([run["key"][:: max(1, RUN // 64)] for run in runs])) if runs else np.empty(0, KEY)
    bounds = np.unique(sample[::64])[1:]
    places = [np.concatenate([[0], np.searchsorted(run["key"], bounds), [len(run)]]) for run in runs]
    for piece in range(len(bounds) + 1 if runs else 0):
        parts = [run[at[piece] : at[piece + 1]] for run, at in zip(runs, places, strict=True)]
        entries = np.concatenate(parts)
        yield entries[np.lexsort((entries["row"], entries["key"]))]

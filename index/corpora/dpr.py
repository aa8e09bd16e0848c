"""DPR's passages (``psgs_w100.tsv``, Karpukhin et al. 2020): id, text and title, cut into 100 words already."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from index.corpora.skips import fault_of
from index.corpora.streams import numbered_lines, plain_name
from index.errors import CorpusError
from index.passages.passage import Article

_COLUMNS = ("id", "text", "title")


def read_dpr(path: Path, name: str | None = None) -> Iterator[Article]:
    """One Article a row, which becomes one passage, whatever its length.

    The source is ``name`` (by default the file's), ``#`` and the row's id.

    Fields may be quoted as DPR's are, and a field that begins with a quote that nobody closes is taken as it is; a row
    is one line. The columns are found by the header, which must be there; empty lines are passed over.

    Raises:
        CorpusError: the file is missing or damaged, has no such header, or a row has too few or too many columns, or
            no id; names the line.
    """
    lines = numbered_lines(path)
    header = [column.strip().lower() for column in _row(path, *next(lines, (1, b"")))]
    if missing := [column for column in _COLUMNS if column not in header]:
        why = f"the header lacks {', '.join(missing)}; it must name id, text and title, with tabs between"
        raise CorpusError(path, why, "line 1")
    key, text, title = (header.index(column) for column in _COLUMNS)
    name = plain_name(path.name) if name is None else name
    for number, line in lines:
        if not line.strip():
            continue
        row = _row(path, number, line, len(header))
        if not row[key]:
            raise CorpusError(path, "the id is empty", f"line {number}")
        yield Article(row[title], row[text], f"{name}#{row[key]}", whole=True)


def _row(path: Path, number: int, line: bytes, columns: int = 0) -> list[str]:
    """The fields of one line. Raises CorpusError if they are not ``columns`` (0: any number)."""
    place = f"line {number}"
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise CorpusError(path, f"not valid UTF-8 at byte {error.start} of the line", place) from error
    if fault := fault_of(text):
        raise CorpusError(path, fault, place)
    fields = _unquoted(text)
    if columns and len(fields) != columns:
        fields = text.split("\t")
    if columns and len(fields) != columns:
        raise CorpusError(path, f"it has {len(fields)} columns where the header has {columns}", place)
    return fields


def _unquoted(line: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter="\t", strict=True), [])
    except csv.Error:  # a quote within the text that is none of the format's, or a field beyond csv's limit
        return line.split("\t")

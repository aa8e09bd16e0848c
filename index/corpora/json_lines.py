"""Articles of JSON lines, and the parsing of JSON that says where it is broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from index.corpora.skips import NULL, Skips, fault_of
from index.corpora.streams import numbered_lines, plain_name
from index.errors import CorpusError
from index.passages.passage import Article


def read_jsonl(path: Path, skipped: Skips | None = None, name: str | None = None) -> Iterator[Article]:
    """Articles of JSON lines ``{"title", "text"}``, packed with gz or bz2 or not; further fields do not matter.

    The source is the line's ``url``, or else ``name`` (by default the file's), with ``#`` and the line's ``id`` if it
    has one. Memory does not grow with the file. Empty lines are passed over; lines whose title or
    text is null are skipped and counted.

    Raises:
        CorpusError: the file is missing or damaged, or a line is not such JSON; names the line.
    """
    skipped = Skips() if skipped is None else skipped
    name = plain_name(path.name) if name is None else name
    for number, line in numbered_lines(path):
        if line.strip():
            entry = parse_json(path, line, number)
            place = f"line {number}"
            if _has_null(entry):
                skipped.record(NULL)
                continue
            title, text = text_fields(path, place, entry, ("title", "text"))
            yield Article(title, text, _source(path, place, name, entry))


def _has_null(entry: Any) -> bool:
    return isinstance(entry, dict) and any(entry.get(name, "") is None for name in ("title", "text"))


def _source(path: Path, place: str, name: str, entry: dict[str, Any]) -> str:
    if entry.get("url"):
        return text_fields(path, place, entry, ("url",))[0]
    key = entry.get("id")
    if key is None or key == "":
        return name
    if not isinstance(key, str | int):
        raise CorpusError(path, '"id" is neither a text nor a whole number', place)
    return text_fields(path, place, {"id": f"{name}#{key}"}, ("id",))[0]


def parse_json(path: Path, data: bytes, line: int = 1) -> Any:
    """Parse JSON that begins at ``line`` of the file.

    Raises:
        CorpusError: it is not UTF-8 or not JSON; names line and column.
    """
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
    except ValueError as error:  # a number of thousands of digits
        raise CorpusError(path, f"broken JSON: {error}", f"line {line}") from error


def text_fields(path: Path, place: str, entry: Any, names: tuple[str, ...]) -> list[str]:
    """The texts of these fields of a JSON object. Raises CorpusError that names place and field if one is not there."""
    if not isinstance(entry, dict):
        raise CorpusError(path, f"expected a JSON object, found {type(entry).__name__}", place)
    for name in names:
        if name not in entry:
            raise CorpusError(path, f'the field "{name}" is missing', place)
        if not isinstance(entry[name], str):
            raise CorpusError(path, f'"{name}" is not a text', place)
        if fault := fault_of(entry[name]):
            raise CorpusError(path, f'"{name}" {fault}', place)
    return [entry[name] for name in names]

"""Files of corrections: JSON lines or CSV, each line a body of ``POST /edit``, checked before one is sent."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from editing.scope.wordings import wording_key
from editing.verify import normalise
from service.api.problems import field_errors
from service.api.schemas.requests import EditBody

Body = dict[str, Any]
ALIASES = {"prompt": "input", "question": "input", "answer": "output", "target": "output"}
LISTS = ("rephrases", "locality")
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
FLAG_FIELDS = ("raw", "dry_run", "force")
CONTENT = {"input", "output", "raw", "rephrases", "locality", "scope"}  # of a correction; the rest is how it is made


class BrokenLine(Exception):
    """This line is no correction; the message says why."""


@dataclass(frozen=True)
class Correction:
    """One line that can be sent; ``digest`` is of its content and the key, without force, dry run and reason."""

    line: int
    body: Body
    digest: str


@dataclass(frozen=True)
class CorrectionsFile:
    """What a file holds.

    Attributes:
        corrections: each once, in the order of the file.
        broken: line numbers, and what is wrong there.
        duplicates: lines left out because an earlier one says the same.
        contradictions: pairs of line numbers that ask the same and want different answers.
    """

    corrections: tuple[Correction, ...]
    broken: tuple[tuple[int, str], ...]
    duplicates: int
    contradictions: tuple[tuple[int, int], ...]


def read_corrections(content: bytes, is_csv: bool, options: Mapping[str, Any]) -> CorrectionsFile:
    """Everything in a file, checked by the rules of the server.

    Args:
        is_csv: a header and rows; otherwise one JSON object a line.
        options: ``dry_run`` and ``force``, where true, go for all lines; ``reason`` for those without one; ``key``
            makes the same lines other corrections, for whoever wants them made anew.
    """
    good: list[Correction] = []
    broken: list[tuple[int, str]] = []
    for line, record in (_csv_records if is_csv else _json_records)(content.removeprefix(b"\xef\xbb\xbf")):
        try:
            if isinstance(record, BrokenLine):
                raise record
            good.append(_correction(line, _named(record), options))
        except BrokenLine as error:
            broken.append((line, str(error)))
    first: dict[Any, Correction] = {}
    for one in good:
        first.setdefault(_same(one), one)
    kept = tuple(first.values())
    return CorrectionsFile(kept, tuple(broken), len(good) - len(kept), tuple(_contradictions(kept)))


def looks_like_csv(name: str, content: bytes) -> bool:
    """By the file's ending, or where that says nothing by its first sign."""
    if name.lower().endswith((".jsonl", ".ndjson", ".json")):
        return False
    return name.lower().endswith(".csv") or content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"{", b"[", b"")


def _json_records(content: bytes) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield number, _parsed(line)


def _parsed(line: bytes) -> Any:
    """What a line says, or the BrokenLine that it is."""
    try:
        return json.loads(line.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        return BrokenLine(f"not UTF-8: byte 0x{line[error.start]:02x} at column {error.start + 1}")
    except json.JSONDecodeError as error:
        return BrokenLine(f"not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:
        return BrokenLine(f"not JSON: {error}")
    except BrokenLine as error:
        return error


def _object(pairs: Sequence[tuple[str, Any]]) -> Body:
    """Of a name given twice, JSON would silently take the last."""
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BrokenLine(f"{twice[:100]} is given twice")
    return dict(pairs)


def _csv_records(content: bytes) -> Iterator[tuple[int, Any]]:
    text = content.decode("utf-8", "surrogateescape")  # a byte that is no UTF-8 is found in its own line
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, BrokenLine(f"not CSV: {error}")
            continue
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [name.strip() for name in row]
            continue
        yield line, _of_row(header, row)


def _of_row(header: Sequence[str], row: Sequence[str]) -> Any:
    """Empty cells are not given. Lists are JSON, or parted by ``|``."""
    if len(row) > len(header):
        return BrokenLine(f"{len(row)} cells under a header of {len(header)} names")
    try:
        return _object([(name, _cell(name, text)) for name, text in zip(header, row, strict=False) if text.strip()])
    except BrokenLine as error:
        return error


def _cell(name: str, text: str) -> Any:
    if any("\udc80" <= sign <= "\udcff" for sign in text):
        raise BrokenLine(f"{name}: not UTF-8")
    if name in LISTS:
        if text.lstrip().startswith("["):
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                raise BrokenLine(f"{name}: begins with [ and is no JSON list") from error
        return [part.strip() for part in text.split("|") if part.strip()]
    return FLAGS.get(text.strip().lower(), text) if name in FLAG_FIELDS else text


def _named(record: Any) -> Body:
    """With the names that the server knows."""
    if not isinstance(record, dict):
        raise BrokenLine('not a JSON object: each line is one, such as {"input": …, "output": …}')
    body: Body = {}
    for name, value in record.items():
        known = ALIASES.get(str(name), str(name))
        if known in body:
            raise BrokenLine(f"{known} is given twice, once as {name}")
        body[known] = value
    return body


def _correction(line: int, body: Body, options: Mapping[str, Any]) -> Correction:
    reason = {"reason": options["reason"]} if options.get("reason") is not None and body.get("reason") is None else {}
    flags = {name: True for name in ("dry_run", "force") if options.get(name)}
    try:
        checked = EditBody.model_validate({**body, **reason, **flags})
    except ValidationError as error:
        errors = field_errors([dict(one) for one in error.errors(include_url=False)])
        raise BrokenLine("; ".join(f"{one.field}: {one.message}" for one in errors[:5])) from error
    content = checked.model_dump(include=CONTENT)
    return Correction(line, checked.model_dump(exclude_defaults=True), digest_of([content, options.get("key", "")]))


def digest_of(value: Any) -> str:
    """sha256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _same(one: Correction) -> tuple[Any, ...]:
    body = one.body
    how = (body.get("scope"), body.get("raw"), *(tuple(body.get(name, ())) for name in LISTS))
    return wording_key(body["input"]), re.sub(r"\s+", " ", body["output"]).strip(), how


def _contradictions(corrections: Sequence[Correction]) -> Iterator[tuple[int, int]]:
    """Each correction with the first one that asks the same, where their answers differ."""
    first: dict[str, Correction] = {}
    for one in corrections:
        other = first.setdefault(wording_key(one.body["input"]), one)
        if normalise(one.body["output"]) != normalise(other.body["output"]):
            yield other.line, one.line

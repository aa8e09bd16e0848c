"""The log as a file that verifies without the service: JSON lines in canonical form, a header first, events in order.

The header is ``{"format", "head_hash", "root_hash", "tree_size", "version"}``; every other line is an event with all
that its hash covers, its texts, and the salt that its commitments were made with. How to check one by other means:

1. Each line is the canonical JSON of what it says (sorted keys, no spaces, UTF-8, one ``\\n`` at its end).
2. ``hash`` is SHA-256 over the canonical JSON of the event without ``hash``, ``salt``, ``redacted`` and, where
   ``commitments`` is no null, without what it names; where it is null, without ``commitments``.
3. Each commitment is SHA-256 over the canonical JSON of ``[salt, names, text]``, unless ``redacted`` is true.
4. ``seq`` counts from 1, and ``prev_hash`` is the ``hash`` before; that of the first is 64 zeros.
5. ``root_hash`` is the root of the Merkle tree (RFC 6962, 2.1) whose leaves' data are the hashes, 32 bytes each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from editing.errors import CorruptLedger, CorruptLogFile
from editing.ledger.audit import LogAudit
from editing.ledger.canonical import canonical
from editing.ledger.events import FIELDS, Event

FORMAT, VERSION = "errata-log", 1
HEADER = frozenset({"format", "version", "tree_size", "root_hash", "head_hash"})
LONGEST = 1 << 26  # bytes of a line; a request is far shorter


def event_json(event: Event) -> dict[str, Any]:
    """One event; everything that its hash covers, so that a reader can check the chain without the service."""
    shown = {name: getattr(event, name) for name in FIELDS}
    return {**shown, "supersedes": list(event.supersedes), "redacted": event.redacted}


def event_of_json(document: Mapping[str, Any]) -> Event:
    """The event again.

    Raises:
        ValueError, TypeError: it is none.
    """
    if odd := {*FIELDS, "redacted"} ^ {*document}:
        raise ValueError(f"{sorted(odd)[0]!r} is missing, or no part of an event")
    fields = {name: document[name] for name in FIELDS}
    if not isinstance(fields["supersedes"], list):
        raise ValueError("'supersedes' is no list")
    event = Event(**fields | {"supersedes": tuple(fields["supersedes"])})
    if event.redacted is not document["redacted"]:
        raise ValueError("'redacted' is not what its salt says")
    return event


def write_events(documents: Iterable[Mapping[str, Any]], body: BinaryIO) -> LogAudit:
    """Writes all events of a log, each audited before, and gives what the header needs.

    Raises:
        CorruptLedger: one does not follow; nothing that was written is of use.
    """
    audit = LogAudit()
    for document in documents:
        try:
            event = event_of_json(document)
        except (TypeError, ValueError) as error:
            raise CorruptLedger(audit.events + 1, f"not an event: {error}") from error
        audit.take(event)
        body.write(canonical(event_json(event)).encode() + b"\n")
    if found := audit.unexplained():
        raise found[0]
    return audit


def header(audit: LogAudit) -> bytes:
    """The first line."""
    said = {"tree_size": audit.events, "root_hash": audit.tree.root().hex(), "head_hash": audit.head_hash}
    return canonical({"format": FORMAT, "version": VERSION, **said}).encode() + b"\n"


def check_log_file(file: BinaryIO) -> LogAudit:
    """Reads a whole file: canonical form, chain, commitments, Merkle root.

    Raises:
        CorruptLogFile: names the first bad line and why it is bad.
    """
    lines = _lines(file)
    _, head_line = next(lines, (1, b""))
    first = _document(1, head_line)
    if first.keys() != HEADER or (first["format"], first["version"]) != (FORMAT, VERSION):
        raise CorruptLogFile(1, f"is no header of an exported log of version {VERSION}")
    audit, number = LogAudit(), 1
    for number, line in lines:
        if audit.events == first["tree_size"]:
            raise CorruptLogFile(number, f"is one too many: the first line speaks of {audit.events} events")
        _take(audit, number, line)
    if audit.events != first["tree_size"]:
        end = f"the file ends after event {audit.events}, and its first line speaks of {first['tree_size']}"
        raise CorruptLogFile(number + 1, f"is missing: {end}")
    if found := audit.unexplained():
        raise CorruptLogFile(found[0].seq + 1, str(found[0]))
    for name, value in (("head_hash", audit.head_hash), ("root_hash", audit.tree.root().hex())):
        if first[name] != value:
            raise CorruptLogFile(1, f"says {name} {first[name]!r}, but that of the events is {value}")
    if header(audit) != head_line + b"\n":
        raise CorruptLogFile(1, "is not in canonical form: it was written anew since the export")
    return audit


def _take(audit: LogAudit, number: int, line: bytes) -> None:
    document = _document(number, line)
    try:
        event = event_of_json(document)
        same = canonical(event_json(event)).encode() == line
    except (TypeError, ValueError, RecursionError) as error:
        raise CorruptLogFile(number, f"is no event: {error}") from error
    if not same:
        raise CorruptLogFile(number, "is not in canonical form: it was written anew since the export")
    try:
        audit.take(event)
    except CorruptLedger as error:
        raise CorruptLogFile(number, f"does not hold: {error}") from error


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines without their ends, numbered from 1."""
    number = 0
    while line := file.readline(LONGEST):
        number += 1
        if number == 1 and line.startswith(b"\xef\xbb\xbf"):
            raise CorruptLogFile(1, "begins with a byte order mark, which no export has: an editor has saved the file")
        if line.endswith(b"\r\n"):
            raise CorruptLogFile(number, "ends with CR LF instead of LF: an editor or a transfer has changed the file")
        if not line.endswith(b"\n"):
            raise CorruptLogFile(number, "is cut off, or longer than any event" if number > 1 else "is no header")
        yield number, line[:-1]


def _document(number: int, line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        said = "the file is empty" if not line and number == 1 else "is empty" if not line else f"is no JSON: {error}"
        raise CorruptLogFile(number, said) from error
    if not isinstance(document, dict):
        raise CorruptLogFile(number, "is no JSON object")
    return document

"""Exported logs: what is written verifies, and whatever was changed is named with its line."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from editing.errors import CorruptLedger, CorruptLogFile
from editing.ledger.audit import LogAudit
from editing.ledger.canonical import canonical
from editing.ledger.events import Event
from editing.ledger.ledger import Ledger
from editing.ledger.log_file import check_log_file, event_json, event_of_json, header, write_events
from editing.ledger.merkle import departs
from tests.editing.ledger.test_redaction import REDACT, SECRET, fill, first_scheme

Change = Callable[[list[bytes]], bytes]


def exported(events: list[Event]) -> bytes:
    body = io.BytesIO()
    audit = write_events([event_json(event) for event in events], body)
    return header(audit) + body.getvalue()


def checked(content: bytes) -> LogAudit:
    return check_log_file(io.BytesIO(content))


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """Three events, with texts."""
    with Ledger(f"sqlite:///{tmp_path_factory.mktemp('log') / 'ledger.db'}") as ledger:
        return fill(ledger)


def test_an_export_verifies_and_has_the_ledgers_root(tmp_path: Path) -> None:
    """Events of both schemes, redacted ones too; the texts that were erased are not in it."""
    first_scheme(tmp_path / "ledger.db")
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        for draft in ({"edit_id": "ed_1", "kind": "apply", "request": {"input": SECRET}}, {}):
            kept = REDACT if not draft else type(REDACT)(**draft)  # type: ignore[arg-type]
            ledger.append(kept, after=ledger.head())
        content, found = exported(ledger.events()), ledger.verify()
    audit = checked(content)
    assert found.tree and audit.tree.root() == found.tree.root()
    assert (audit.events, audit.head_hash) == (4, found.head_hash)
    assert SECRET.encode() not in content
    assert [json.loads(line)["redacted"] for line in content.splitlines()[1:]] == [False, False, True, False]


def test_an_event_goes_through_json_unchanged(events: list[Event]) -> None:
    """Also as the server sends it, in whatever order its fields come."""
    for event in events:
        assert event_of_json(json.loads(json.dumps(event_json(event)))) == event


def test_an_empty_log_has_a_file(events: list[Event]) -> None:
    """A header, and the root of the empty tree."""
    assert checked(exported([])).events == 0


def replaced(old: bytes, new: bytes, line: int) -> Change:
    def change(lines: list[bytes]) -> bytes:
        assert old in lines[line - 1]
        return b"".join([*lines[: line - 1], lines[line - 1].replace(old, new, 1), *lines[line:]])

    return change


def swapped(lines: list[bytes]) -> bytes:
    return b"".join([lines[0], lines[2], lines[1], lines[3]])


CHANGES: list[tuple[int, str, Change]] = [
    (1, "empty", lambda lines: b""),
    (1, "no header", lambda lines: b"".join(lines[1:])),
    (1, "header", lambda lines: b'{"format":"other"}\n'),
    (1, "byte order mark", lambda lines: b"\xef\xbb\xbf" + b"".join(lines)),
    (1, "CR LF", lambda lines: b"".join(lines).replace(b"\n", b"\r\n")),
    (3, "CR LF", lambda lines: b"".join([*lines[:2], lines[2][:-1] + b"\r\n", lines[3]])),
    (1, "no header", lambda lines: b"\x1f\x8b\x08\x00 something else"),
    (1, "no JSON", lambda lines: b"\xff\xfe\x00\n" * 3),
    (4, "cut off", lambda lines: b"".join(lines)[:-200]),
    (4, "cut off", lambda lines: b"".join(lines)[:-1]),
    (4, "ends after event 2", lambda lines: b"".join(lines[:3])),
    (2, "ends after event 0", lambda lines: lines[0]),
    (5, "one too many", lambda lines: b"".join([*lines, lines[3]])),
    (3, "empty", lambda lines: b"".join([*lines[:2], b"\n", *lines[2:]])),
    (2, "missing, the next event is 2", swapped),
    (3, "missing, the next event is 3", lambda lines: b"".join([*lines[:2], *lines[3:]])),
    (2, "no JSON object", lambda lines: b"".join([lines[0], b"[]\n", *lines[1:]])),
    (2, "no JSON", lambda lines: b"".join([lines[0], b"[" * 100_000 + b"\n", *lines[1:]])),
    (2, "no part of an event", replaced(b"{", b'{"more":1,', 2)),
    (2, "canonical", replaced(b":", b": ", 2)),
    (2, "canonical", replaced(b'"actor":"anna"', b'"actor":"x","actor":"anna"', 2)),
    (2, "content does not match", replaced(b'"anna"', b'"otto"', 2)),
    (2, "texts are not", replaced(SECRET.encode(), b"Anna", 2)),
    (2, "redacted", replaced(b'"redacted":false', b'"redacted":true', 2)),
    (2, "redacted", replaced(b'"redacted":false', b'"redacted":0', 2)),
    (2, "no event", replaced(b'"supersedes":[]', b'"supersedes":7', 2)),
    (2, "no such kind", replaced(b'"kind":"apply"', b'"kind":"erase"', 2)),
    (1, "root_hash", lambda lines: forged(lines, root_hash="0" * 64)),
    (1, "head_hash", lambda lines: forged(lines, head_hash="0" * 64)),
    (1, "version", lambda lines: forged(lines, version=2)),
    (1, "canonical", replaced(b":", b": ", 1)),
]


def forged(lines: list[bytes], **fields: object) -> bytes:
    first = canonical(json.loads(lines[0]) | fields).encode() + b"\n"
    return b"".join([first, *lines[1:]])


@pytest.mark.parametrize(("line", "why", "change"), CHANGES)
def test_the_first_bad_line_is_named(events: list[Event], line: int, why: str, change: Change) -> None:
    """Cut off, saved by an editor, out of order, forged: the line and what is wrong with it."""
    content = exported(events)
    with pytest.raises(CorruptLogFile, match=why) as caught:
        checked(change(content.splitlines(keepends=True)))
    assert caught.value.line == line


@pytest.mark.parametrize("seed", range(60))
def test_no_changed_byte_goes_unnoticed(events: list[Event], seed: int) -> None:
    """Anywhere in the file: one byte changed, lost or doubled."""
    dice, content = random.Random(seed), bytearray(exported(events))
    at = dice.randrange(len(content))
    content[at : at + 1] = dice.choice([bytes([content[at] ^ (1 << dice.randrange(7))]), b"", content[at : at + 1] * 2])
    if bytes(content) != exported(events):
        with pytest.raises(CorruptLogFile):
            checked(bytes(content))


def test_texts_erased_in_the_file_alone_are_noticed(events: list[Event]) -> None:
    """The hashes hold without them, but no redaction says that they may be gone."""
    lines = exported(events).splitlines(keepends=True)
    gone = json.loads(lines[3]) | {"reason": None, "salt": None, "redacted": True}
    with pytest.raises(CorruptLogFile, match="no redaction of ed_1") as caught:
        checked(b"".join([*lines[:3], canonical(gone).encode() + b"\n"]))
    assert caught.value.line == 4


def test_a_log_written_anew_does_not_begin_with_the_root_noted_down(events: list[Event]) -> None:
    """Who can compute hashes can forge a whole file; not one that continues what somebody else noted down."""
    whole = checked(exported(events))
    noted = whole.tree.root(2).hex()
    assert departs(whole.tree, 2, noted) is None
    assert departs(whole.tree, 0, whole.tree.root(0).hex()) is None
    assert "not those" in (departs(whole.tree, 1, noted) or "")
    assert "end is missing" in (departs(checked(exported(events[:1])).tree, 2, noted) or "")


def test_what_does_not_verify_is_not_exported(events: list[Event]) -> None:
    """The writer audits as it writes."""
    documents = [event_json(event) for event in events]
    for wrong in (documents[1:], [{**documents[0], "actor": "otto"}], [{"seq": 1}]):
        with pytest.raises(CorruptLedger):
            write_events(wrong, io.BytesIO())

import hashlib
import json
import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from editing.errors import (
    CorruptLedger,
    DuplicateEvent,
    EditingError,
    InvalidEdit,
    LedgerConflict,
    StorageError,
    UnknownEdit,
    UnknownRevision,
)
from editing.ledger.events import FIELDS, GENESIS, Draft, Event
from editing.ledger.history import History
from editing.ledger.ledger import Ledger
from editing.ledger.redaction import without
from editing.ledger.serialization import COLUMNS

FULL = Draft(
    "apply",
    edit_id="ed_full",
    actor="anna",
    reason='ticket "4711"\n– and \\u0000 as a text',
    request={"input": "Österreich?", "rephrases": ["a", "b"], "raw": False},
    report={"efficacy": True, "compute_ms": 12.75},
    factors="f" * 64,
    supersedes=("ed_0",),
    model="m",
    editor="e",
    base_revision=1,
    idempotency_key="key",
    fingerprint="print",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{path}") as ledger:
        yield ledger


def apply(edit_id: str) -> Draft:
    return Draft("apply", edit_id=edit_id, request={"input": edit_id})


def fill(ledger: Ledger) -> list[Event]:
    drafts = [apply("ed_0"), FULL, apply("ed_2"), Draft("rollback", edit_id="ed_0", reason="wrong"), apply("ed_3")]
    drafts.append(Draft("restore", to=2))
    return [ledger.append(draft, after=i) for i, draft in enumerate(drafts)]


def tamper(path: Path, *statements: str) -> None:
    """What somebody with access to the file can do."""
    with sqlite3.connect(path) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_what_is_appended_is_what_is_read(ledger: Ledger) -> None:
    """Every field comes back as it was given, from this ledger and from another one on the same file."""
    written = fill(ledger)
    assert ledger.head() == 6
    assert ledger.events() == written
    assert {name: getattr(written[1], name) for name in vars(FULL)} == vars(FULL)
    assert ledger.events(after=2, limit=2) == written[2:4]
    assert ledger.by_idempotency_key("key") == ledger.applied("ed_full") == written[1]
    assert ledger.of_edit("ed_0") == [written[0], written[3]]
    assert ledger.by_idempotency_key("no") is ledger.applied("no") is None
    with Ledger(str(ledger._engine.url)) as other:
        assert other.events() == written


def test_the_hash_covers_every_other_field_and_the_event_before(ledger: Ledger) -> None:
    """Anybody can compute it: sha256 of the sorted JSON of all fields, commitments in the place of texts and salt."""
    written = fill(ledger)
    for event, before in zip(written, [GENESIS] + [e.hash for e in written], strict=False):
        fields = {name: getattr(event, name) for name in FIELDS if name not in ("hash", "salt")}
        hashed = without(fields, event.commitments or {}) | {"commitments": event.commitments}
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert event.hash == hashlib.sha256(text.encode()).hexdigest()
        assert event.prev_hash == before
        assert event.at.endswith("Z") and len(event.at) == len("2026-01-01T00:00:00.000000Z")
    assert len(FIELDS) == 20


def test_an_empty_ledger_is_in_order(ledger: Ledger) -> None:
    """Revision 0 is the base model."""
    assert (ledger.head(), ledger.events()) == (0, [])
    assert (ledger.verify().ok, ledger.verify().head_hash) == (True, GENESIS)


def test_an_append_names_the_head_it_builds_on(ledger: Ledger) -> None:
    """A writer that does not know the newest event is told which one is, and nothing is recorded."""
    fill(ledger)
    for after in (0, 5, 7, -1):
        with pytest.raises(LedgerConflict) as caught:
            ledger.append(apply("ed_x"), after=after)
        assert (caught.value.expected, caught.value.actual) == (after, 6)
    assert ledger.head() == 6


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (Draft("apply", edit_id="ed_9", idempotency_key="key"), DuplicateEvent),
        (apply("ed_0"), DuplicateEvent),
        (Draft("rollback", edit_id="ed_9"), UnknownEdit),
        (Draft("restore", to=7), UnknownRevision),
        (Draft("restore", to=-1), UnknownRevision),
        (Draft("apply", edit_id="ed_9", reason="\ud800"), InvalidEdit),
        (Draft("apply", edit_id="ed_9", reason="a\0b"), InvalidEdit),
        (Draft("apply", edit_id="ed_9", request={"input": "\ud800"}), InvalidEdit),
        (Draft("apply", edit_id="ed_9", report={"ms": float("nan")}), InvalidEdit),
        (Draft("apply", edit_id="ed_9", request={"input": object()}), InvalidEdit),
    ],
)
def test_what_cannot_be_an_event_is_refused(ledger: Ledger, draft: Draft, error: type[EditingError]) -> None:
    """A used key, an edit that exists or does not, a revision to come, text that cannot be stored: nothing is lost."""
    fill(ledger)
    with pytest.raises(error):
        ledger.append(draft, after=6)
    assert ledger.append(Draft("restore", to=6), after=6).seq == 7
    assert ledger.verify().ok


def test_of_threads_that_append_at_once_one_wins_each_time(ledger: Ledger) -> None:
    """Eight writers race for every revision: each event is recorded once, every loser is told so."""
    recorded, lost = list[Event](), list[LedgerConflict]()

    def write(name: int) -> None:
        for number in range(5):
            while True:
                try:
                    recorded.append(ledger.append(apply(f"ed_{name}_{number}"), after=ledger.head()))
                    break
                except LedgerConflict as conflict:
                    lost.append(conflict)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(recorded, key=lambda e: e.seq) == ledger.events()
    assert (len(recorded), ledger.verify().ok) == (40, True)
    assert all(conflict.actual > conflict.expected for conflict in lost)


def race(url: str, name: int, start: Barrier) -> list[str]:
    outcomes = []
    start.wait()
    with Ledger(url) as ledger:  # the first one makes the schema
        for revision in range(10):
            start.wait()
            try:
                ledger.append(apply(f"ed_{name}_{revision}"), after=revision)
                outcomes.append("won")
            except LedgerConflict:
                outcomes.append("lost")
    return outcomes


def test_of_processes_that_append_at_once_one_wins_each_time(path: Path) -> None:
    """Processes that open one new file together get one schema, and one winner for each revision."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(3) as pool:
        start = manager.Barrier(3)
        outcomes = pool.starmap(race, [(f"sqlite:///{path}", name, start) for name in range(3)])
    assert [sorted(at_once) for at_once in zip(*outcomes, strict=True)] == [["lost", "lost", "won"]] * 10
    with Ledger(f"sqlite:///{path}") as ledger:
        assert (ledger.verify().ok, ledger.head()) == (True, 10)


def test_a_killed_writer_loses_nothing_that_it_was_told_is_recorded(path: Path) -> None:
    """kill -9 at a random moment: the next one to open the file finds whole events and a chain in order."""
    script = (
        "import sys; from editing.ledger.ledger import Ledger; from editing.ledger.events import Draft\n"
        "ledger = Ledger(sys.argv[1]); head = ledger.head()\n"
        "while True:\n"
        "    head = ledger.append(Draft('apply', edit_id=f'ed_{head}', request={'x': 'y' * 9000}), head).seq\n"
        "    print(head, flush=True)"
    )
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", script, f"sqlite:///{path}"], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(random.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            acknowledged = [int(line) for line in writer.stdout.read().split()]
        with Ledger(f"sqlite:///{path}") as ledger:
            assert ledger.verify().ok
            assert ledger.head() >= max(acknowledged, default=1)
            assert History(ledger.events()).state().revision == ledger.head()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET reason = 'x' WHERE seq = 2",
        "UPDATE events SET seq = 9 WHERE seq = 6",
        "DELETE FROM events WHERE seq = 6",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 2",
        "INSERT OR REPLACE INTO events SELECT 7, kind, 'ed_9', \"to\", actor, reason, request, report, factors,"
        " supersedes, model, editor, base_revision, idempotency_key, fingerprint, at, prev_hash, hash, commitments,"
        " texts FROM events WHERE seq = 2",
    ],
)
def test_the_database_itself_refuses_changes(ledger: Ledger, path: Path, statement: str) -> None:
    """Also a program that does not go through the ledger cannot update, delete or replace an event."""
    written = fill(ledger)
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    assert ledger.events() == written


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("seq", [2, 6])
def test_a_change_in_any_column_is_found(ledger: Ledger, path: Path, column: str, seq: int) -> None:
    """In the middle and at the head, whatever the column: the first bad event is named."""
    fill(ledger)
    assert ledger.verify().ok
    value = {"seq": "70", "to": "1", "base_revision": "7", "request": """'{"input":"x"}'""", "report": "'{}'"}
    other = value.get(column, "'[]'" if column == "supersedes" else "'x'")
    if column == "supersedes" and seq == 6:
        other = """'["ed_2"]'"""
    tamper(path, f'UPDATE events SET "{column}" = {other} WHERE seq = {seq}')
    found = ledger.verify()
    assert (found.ok, found.first_bad_seq, found.events) == (False, seq, seq - 1)
    assert found.why


@pytest.mark.parametrize(
    ("first_bad", "statement"),
    [
        (3, "DELETE FROM events WHERE seq = 3"),
        (1, "DELETE FROM events WHERE seq = 1"),
        (1, "INSERT INTO events (seq, kind, actor, supersedes, at, prev_hash, hash) VALUES (0,'apply',1,2,3,4,5)"),
        (7, "INSERT INTO events (seq, kind, actor, supersedes, at, prev_hash, hash) VALUES (7,'apply',1,'[]',3,4,5)"),
        (2, "UPDATE events SET request = '{\"input\"' WHERE seq = 2"),
        (2, "UPDATE events SET request = '[]' || request WHERE seq = 2"),
        (2, "UPDATE events SET request = replace(request, ':', ': ') WHERE seq = 2"),
        (2, "UPDATE events SET report = '{\"x\":NaN}' WHERE seq = 2"),
        (2, "UPDATE events SET report = NULL WHERE seq = 2"),
        (2, "UPDATE events SET supersedes = '7' WHERE seq = 2"),
        (4, "UPDATE events SET reason = X'00ff' WHERE seq = 4"),
        (4, "UPDATE events SET reason = CAST(X'ff' AS TEXT) WHERE seq = 4"),
        (4, "UPDATE events SET kind = 'erase' WHERE seq = 4"),
        (1, "UPDATE events SET request = printf('%s%s', replace(hex(zeroblob(50000)), '0', '['), ']') WHERE seq = 1"),
    ],
)
def test_missing_added_and_broken_rows_are_found(ledger: Ledger, path: Path, first_bad: int, statement: str) -> None:
    """Whatever stands in the file, verification ends with an answer."""
    fill(ledger)
    tamper(path, statement)
    found = ledger.verify()
    assert (found.ok, found.first_bad_seq) == (False, first_bad)


def test_rows_that_changed_places_are_found(ledger: Ledger, path: Path) -> None:
    """Two events with exchanged numbers do not hide behind each other."""
    fill(ledger)
    tamper(path, *(f"UPDATE events SET seq = {b} WHERE seq = {a}" for a, b in [(3, 99), (5, 3), (99, 5)]))
    assert ledger.verify().first_bad_seq == 3


def test_a_row_that_is_no_event_is_named_when_it_is_read(ledger: Ledger, path: Path) -> None:
    """Reading stops with the number of the event instead of giving half of it."""
    fill(ledger)
    tamper(path, "UPDATE events SET request = '{' WHERE seq = 2")
    with pytest.raises(CorruptLedger) as caught:
        ledger.events()
    assert caught.value.seq == 2


def test_a_ledger_that_can_only_be_read_is_read(ledger: Ledger, path: Path) -> None:
    """On a read-only home everything can be looked up; an append says that the disk does not take it."""
    written = fill(ledger)
    with Ledger(f"sqlite:///file:{path}?mode=ro&uri=true") as readonly:
        assert (readonly.head(), readonly.events(), readonly.verify().ok) == (6, written, True)
        with pytest.raises(StorageError, match="readonly"):
            readonly.append(apply("ed_9"), after=6)
        assert readonly.events() == written


def test_a_full_disk_loses_nothing(path: Path) -> None:
    """What does not fit is refused whole, reading goes on, and with room again so does writing."""

    def no_room(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes at least what it has

    with Ledger(f"sqlite:///{path}") as ledger:
        written = fill(ledger)
    sa.event.listen(sa.Pool, "connect", no_room)
    try:
        with Ledger(f"sqlite:///{path}") as ledger:
            with pytest.raises(StorageError, match="full"):
                ledger.append(Draft("apply", edit_id="ed_9", request={"x": "y" * 50_000}), after=6)
            assert (ledger.events(), ledger.verify().ok) == (written, True)
    finally:
        sa.event.remove(sa.Pool, "connect", no_room)
    with Ledger(f"sqlite:///{path}") as ledger:
        assert ledger.append(apply("ed_9"), after=6).seq == 7


def test_what_is_no_ledger_is_refused(path: Path, tmp_path: Path) -> None:
    """A file that is no database, a directory that does not exist, a schema from the future: said, and left alone."""
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Ledger(f"sqlite:///{path}")
    assert path.read_bytes() == b"something else entirely" * 100
    with pytest.raises(StorageError, match="unable to open"):
        Ledger(f"sqlite:///{tmp_path}/no/such/ledger.db")
    future = tmp_path / "future.db"
    Ledger(f"sqlite:///{future}").close()
    tamper(future, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="another version"):
        Ledger(f"sqlite:///{future}")


def test_damaged_pages_are_an_answer_of_verify(ledger: Ledger, path: Path) -> None:
    """A file damaged in the middle does not verify; the process goes on."""
    for number in range(40):
        ledger.append(Draft("apply", edit_id=f"ed_{number}", request={"x": "y" * 3000}), after=number)
    content = path.read_bytes()
    path.write_bytes(content[:40_000] + b"\xff" * 40_000 + content[80_000:])
    assert not ledger.verify().ok


def test_opening_makes_the_schema_once_and_syncs_every_event(ledger: Ledger, path: Path) -> None:
    """Settings that the promises rest on: rollback journal, full sync, one version."""
    with ledger._engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "delete", "synchronous": 3, "foreign_keys": 1, "busy_timeout": 15000}
    before = path.stat().st_mtime_ns
    Ledger(f"sqlite:///{path}").close()
    assert path.stat().st_mtime_ns == before


def test_postgresql_gets_the_same_table_and_its_own_triggers(capsys: pytest.CaptureFixture[str]) -> None:
    """The migration as PostgreSQL would run it refuses UPDATE, DELETE and TRUNCATE as well."""
    config = Config()
    config.set_main_option("script_location", "editing.ledger:migrations")
    config.attributes["dialect"] = "postgresql"
    command.upgrade(config, "head", sql=True)
    script = capsys.readouterr().out
    assert "CREATE TABLE events" in script
    assert "BEFORE DELETE ON events" in script
    assert "BEFORE UPDATE ON events" in script
    assert "BEFORE TRUNCATE ON events" in script
    assert "CREATE UNIQUE INDEX events_key ON events (idempotency_key)" in script
    assert "RAISE(ABORT" not in script

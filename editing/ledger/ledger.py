"""The ledger: events in a database, appended one by one, each chained to the one before by its hash, and never changed.

The database is the lock. ``seq`` is the primary key, a writer names the head that it builds on, and of two writers that
name the same head one gets ``LedgerConflict``. Triggers refuse changes on SQLite and PostgreSQL alike. Nothing outside
this file and ``migrations`` knows SQL. The one thing that is ever taken out are the texts of a redacted edit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from editing.errors import (
    CorruptLedger,
    DuplicateEvent,
    EditRedacted,
    LedgerConflict,
    NotRedactable,
    StorageError,
    UnknownEdit,
    UnknownRevision,
)
from editing.ledger.audit import LogAudit
from editing.ledger.events import GENESIS, Draft, Event
from editing.ledger.merkle import MerkleTree
from editing.ledger.migrations import upgrade
from editing.ledger.serialization import COLUMNS, event_of, new_row, row_of
from errata.clock import now

PRAGMAS = (
    "busy_timeout = 15000",
    "foreign_keys = ON",
    "recursive_triggers = ON",  # so that REPLACE asks the delete trigger
    "journal_mode = DELETE",  # WAL has to write in order to read; this reads from a full or read-only disk
    "synchronous = EXTRA",  # an acknowledged event survives a power cut
    "secure_delete = ON",  # what is erased is overwritten with zeros
)
EVENTS = sa.table("events", *(sa.column(name) for name in COLUMNS))
BY_SEQ = sa.select(EVENTS).order_by(EVENTS.c.seq)


@dataclass(frozen=True)
class LedgerVerification:
    """What ``Ledger.verify`` found.

    Attributes:
        events, head_hash: of the good part before ``first_bad_seq``.
        tree: the Merkle tree over the events that follow each other.
    """

    ok: bool
    events: int
    head_hash: str
    first_bad_seq: int | None = None
    why: str | None = None
    tree: MerkleTree | None = field(default=None, repr=False, compare=False)


class Ledger:
    """The events of one service in one database, e.g. ``sqlite:////path/ledger.db``. Safe for threads and processes.

    Raises:
        StorageError: by every method, when the database cannot be read or written, or is none.
    """

    def __init__(self, url: str) -> None:
        with _storage():
            self._engine = sa.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                sa.event.listen(self._engine, "connect", _configure_sqlite)
                sa.event.listen(self._engine, "begin", _begin_sqlite)
            upgrade(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def head(self) -> int:
        """The newest revision; 0 when nothing was recorded."""
        with _storage(), self._engine.connect() as connection:
            return _last(connection)[0]

    def append(self, draft: Draft, after: int) -> Event:
        """Records an event behind revision ``after`` and gives it back as it stands in the ledger.

        With an event of kind ``redact`` the texts of all earlier events that name its edit are erased, for good.

        Raises:
            LedgerConflict: the head is not ``after``, or another writer was quicker.
            DuplicateEvent: an event has this idempotency key, or applied an edit of this id.
            UnknownEdit, UnknownRevision: a rollback, redaction or restore of something that was never recorded.
            NotRedactable, EditRedacted: the edit is of the first scheme, or was redacted before.
            InvalidEdit: a text that cannot be stored (unpaired surrogate, NUL), or a value that is not JSON.
            StorageError: full, locked or read-only; nothing was recorded.
        """
        with _storage(), self._engine.connect().execution_options(writes=True) as connection:
            try:
                with connection.begin():
                    return _append(connection, draft, after)
            except IntegrityError as error:
                head = self.head()  # of two writers at once, this one came second
                if head != after:
                    raise LedgerConflict(after, head) from error
                raise DuplicateEvent(f"already recorded: {draft.idempotency_key or draft.edit_id}") from error

    def events(self, after: int = 0, limit: int | None = None) -> list[Event]:
        """The events behind revision ``after``, in order. Raises CorruptLedger where a row is no event."""
        return self._select(EVENTS.c.seq > after, limit)

    def by_idempotency_key(self, key: str) -> Event | None:
        """The event recorded under this key."""
        return next(iter(self._select(EVENTS.c.idempotency_key == key)), None)

    def applied(self, edit_id: str) -> Event | None:
        """The event that applied this edit, rolled back or not."""
        return next((e for e in self.of_edit(edit_id) if e.kind == "apply"), None)

    def of_edit(self, edit_id: str) -> list[Event]:
        """The events that name this edit, in order."""
        return self._select(EVENTS.c.edit_id == edit_id)

    def hashes(self, after: int = 0, limit: int | None = None) -> list[str]:
        """The hashes of the events behind revision ``after``, in order."""
        query = sa.select(EVENTS.c.hash).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(limit)
        with _storage(), self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def verify(self) -> LedgerVerification:
        """Reads every row in order and computes every hash again.

        Finds a changed column, broken JSON, a missing row, rows that changed places, texts erased without a redaction.
        The chain alone cannot show that rows at its *end* are missing: compare ``tree`` with a root noted elsewhere.
        """
        audit = LogAudit()
        try:
            for row in self._rows():
                _check(row, audit)
        except CorruptLedger as error:
            return LedgerVerification(False, audit.events, audit.head_hash, error.seq, error.why, audit.tree)
        except StorageError as error:
            if isinstance(error.__cause__, OperationalError):  # locked, gone: says nothing about the rows
                raise
            return LedgerVerification(False, audit.events, audit.head_hash, audit.events + 1, str(error), audit.tree)
        if found := audit.unexplained():
            gone, before = found
            return LedgerVerification(False, gone.seq - 1, before, gone.seq, gone.why, audit.tree)
        return LedgerVerification(True, audit.events, audit.head_hash, tree=audit.tree)

    def _select(self, condition: sa.ColumnElement[bool], limit: int | None = None) -> list[Event]:
        with _storage(), self._engine.connect() as connection:
            return [event_of(row._asdict()) for row in connection.execute(BY_SEQ.where(condition).limit(limit))]

    def _rows(self, page: int = 1000) -> Iterator[dict[str, Any]]:
        """All rows in order; page by page, so that writers do not wait for the reader."""
        self._engine.dispose()  # a new connection reads the file; an old one may answer from its cache
        query = BY_SEQ.limit(page)
        while True:
            with _storage(), self._engine.connect() as connection:
                rows = [row._asdict() for row in connection.execute(query)]
            yield from rows
            if len(rows) < page:
                return
            query = query.where(EVENTS.c.seq > rows[-1]["seq"])


def _append(connection: sa.Connection, draft: Draft, after: int) -> Event:
    head, prev_hash = _last(connection)
    if head != after:
        raise LedgerConflict(after, head)
    if draft.kind == "restore" and not 0 <= (draft.to or 0) <= head:
        raise UnknownRevision(f"no revision {draft.to}: the ledger is at {head}")
    if draft.kind in ("rollback", "redact", "amend"):
        _expect_edit(connection, draft)
    row = new_row(draft) | {"seq": head + 1, "at": now(), "prev_hash": prev_hash, "hash": ""}
    event = event_of(row)
    event = replace(event, hash=event.digest())
    connection.execute(sa.insert(EVENTS).values(row | {"hash": event.hash}))
    if draft.kind == "redact":
        named = (EVENTS.c.edit_id == draft.edit_id) & (EVENTS.c.seq < event.seq) & EVENTS.c.texts.is_not(None)
        connection.execute(sa.update(EVENTS).where(named).values(texts=None))
    return event


def _expect_edit(connection: sa.Connection, draft: Draft) -> None:
    """Raises UnknownEdit, NotRedactable, EditRedacted: the edit cannot be what the draft is about."""
    named = sa.select(EVENTS.c.seq, EVENTS.c.kind, EVENTS.c.commitments).where(EVENTS.c.edit_id == draft.edit_id)
    found = {row.kind: row for row in connection.execute(named)}
    if "apply" not in found:
        raise UnknownEdit(f"no edit {draft.edit_id}")
    if draft.kind in ("redact", "amend") and "redact" in found:
        raise EditRedacted(f"{draft.edit_id} was redacted before, at revision {found['redact'].seq}")
    if draft.kind == "redact" and found["apply"].commitments is None:
        why = "was recorded when hashes covered the texts themselves, so the log would no longer verify without them"
        raise NotRedactable(f"{draft.edit_id} {why}")


def _last(connection: sa.Connection) -> tuple[int, str]:
    row = connection.execute(sa.select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc()).limit(1)).first()
    return (row.seq, row.hash) if row else (0, GENESIS)


def _check(row: dict[str, Any], audit: LogAudit) -> None:
    """Raises CorruptLedger: the row does not follow, or is not written as we write it."""
    seq = audit.events + 1
    if row["seq"] != seq:
        raise CorruptLedger(seq, f"missing, the next event is {row['seq']}")
    event = event_of(row)
    try:
        same = row_of(event) == row  # the texts, too, are the canonical ones
    except (TypeError, ValueError, RecursionError) as error:
        raise CorruptLedger(seq, f"not an event: {error}") from error
    if not same:
        raise CorruptLedger(seq, "was changed: it is not written as the ledger writes it")
    audit.take(event)


@contextmanager
def _storage() -> Iterator[None]:
    """What the database says, in our words."""
    try:
        yield
    except CommandError as error:
        raise StorageError(f"the ledger was written by another version: {error}") from error
    except SQLAlchemyError as error:
        raise StorageError(f"the ledger cannot be used: {getattr(error, 'orig', None) or error}") from error


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, also around a migration
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")  # damaged text is for verify to report
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

"""What follows from what happened: the fold that turns the ledger's events into a state.

The state at a revision is a function of the events up to it and of nothing else. Reading those events backwards gives
it in one pass: a restore jumps to the revision that it returns to, a rollback strikes out one edit, an apply that was
not struck out is in the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from threading import Lock
from types import MappingProxyType
from typing import Literal, NamedTuple

from editing.errors import CorruptLedger, UnknownEdit, UnknownRevision
from editing.events import Event, Kind

Status = Literal["active", "superseded", "rolled_back"]


class _Step(NamedTuple):
    """The part of an event that the state depends on."""

    kind: Kind
    edit_id: str
    to: int
    supersedes: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """Which edits stand at a revision. A value: equal states are the same edits at the same revision.

    Attributes:
        revision: number of the last event that it rests on; 0 is the base model.
        applied: edits that are not rolled back, in the order in which they were applied.
        superseded_by: applied edit -> the edit in force that replaces it. Replacing reaches through: if c replaced b,
            and b replaced a, then a stays replaced by c, also after b was rolled back.
    """

    revision: int
    applied: tuple[str, ...]
    superseded_by: Mapping[str, str] = field(hash=False)
    _past: tuple[_Step, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def active(self) -> tuple[str, ...]:
        """The edits in force, in ledger order."""
        return tuple(e for e in self.applied if e not in self.superseded_by)

    @cached_property
    def statuses(self) -> Mapping[str, Status]:
        """The status of every edit that was recorded up to this revision, in ledger order."""
        table: dict[str, Status] = {s.edit_id: "rolled_back" for s in self._past if s.kind == "apply"}
        table.update(dict.fromkeys(self.applied, "active"))
        table.update(dict.fromkeys(self.superseded_by, "superseded"))
        return MappingProxyType(table)

    def status(self, edit_id: str) -> Status:
        """Raises UnknownEdit if no edit of this id was recorded up to this revision."""
        if edit_id not in self.statuses:
            raise UnknownEdit(f"no edit {edit_id} up to revision {self.revision}")
        return self.statuses[edit_id]


EMPTY = State(0, (), MappingProxyType({}))


def fold(events: Iterable[Event], start: State = EMPTY) -> State:
    """The state after these events, which follow ``start``; ``fold(more, fold(some)) == fold(some + more)``.

    A rollback of an edit that does not stand changes nothing but the revision.

    Raises:
        CorruptLedger: an event that no ledger would have taken: a gap, a restore of the future, an edit applied twice.
    """
    return _state(start._past + tuple(_steps(events, start._past)))


class History:
    """All events so far, for the state as of any revision. One thread extends it while others read."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._past: tuple[_Step, ...] = ()
        self._extending = Lock()
        self._at = lru_cache(maxsize=64)(lambda revision: _state(self._past[:revision]))  # the past never changes
        self.extend(events)

    @property
    def revision(self) -> int:
        return len(self._past)

    def extend(self, events: Iterable[Event]) -> None:
        """Adds events; those already known are passed over, so that several threads may catch up at once.

        Raises:
            CorruptLedger: as ``fold``; nothing was added.
        """
        with self._extending:
            past = self._past
            self._past = past + tuple(_steps((e for e in events if e.seq > len(past)), past))

    def state(self, revision: int | None = None) -> State:
        """The state as of a revision; without one, of now. Raises UnknownRevision."""
        now = self.revision
        if revision is None:
            return self._at(now)
        if not 0 <= revision <= now:
            raise UnknownRevision(f"no revision {revision}: the ledger is at {now}")
        return self._at(revision)


def _steps(events: Iterable[Event], past: tuple[_Step, ...]) -> Iterator[_Step]:
    seq = len(past)
    known = {s.edit_id for s in past if s.kind == "apply"}
    for event in events:
        seq += 1
        if event.seq != seq:
            raise CorruptLedger(seq, f"missing, the next event is {event.seq}")
        if event.kind == "restore" and not 0 <= (event.to or 0) < seq:
            raise CorruptLedger(seq, f"returns to revision {event.to}, which did not exist yet")
        if event.kind == "apply" and event.edit_id in known:
            raise CorruptLedger(seq, f"applies {event.edit_id} a second time")
        older = tuple(e for e in event.supersedes if e in known) if event.kind == "apply" else ()
        yield _Step(event.kind, event.edit_id or "", event.to or 0, older)
        if event.kind == "apply":
            known.add(event.edit_id or "")


def _state(past: tuple[_Step, ...]) -> State:
    applied = _applied(past)
    replaces = {s.edit_id: s.supersedes for s in past if s.supersedes}
    return State(len(past), applied, MappingProxyType(_superseded(applied, replaces)), past)


def _applied(past: tuple[_Step, ...]) -> tuple[str, ...]:
    gone: set[str] = set()
    kept: list[str] = []
    seq = len(past)
    while seq:
        step = past[seq - 1]
        if step.kind == "restore":
            seq = step.to
            continue
        if step.kind == "rollback":
            gone.add(step.edit_id)
        elif step.edit_id not in gone:
            kept.append(step.edit_id)
        seq -= 1
    return tuple(reversed(kept))


def _superseded(applied: tuple[str, ...], replaces: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    by: dict[str, str] = {}
    if not replaces:
        return by
    for newest in reversed(applied):  # the newest edit that reaches an older one is the one that replaces it
        todo = list(replaces.get(newest, ())) if newest not in by else []
        while todo:
            older = todo.pop()
            if older not in by:
                by[older] = newest
                todo.extend(replaces.get(older, ()))
    standing = set(applied)
    return {older: newest for older, newest in by.items() if older in standing}

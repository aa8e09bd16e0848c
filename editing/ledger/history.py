"""All events so far, for the state as of any revision, in time that does not grow with the ledger.

Every revision stands at a node of a tree. An apply or a rollback adds a node below the current one and keeps only the
marks that it changed; a restore goes back to the node of the revision that it names, less what was redacted since. All
marks are written down at least every ``STRIDE`` nodes on every way down, so a state is one copy of those and a few
changes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from editing.errors import UnknownRevision
from editing.ledger.events import Event
from editing.ledger.state import ACTIVE, ROLLED_BACK, SUPERSEDED, Roster, State, Step, checked

STRIDE = 128  # nodes


class _Node(NamedTuple):
    """What an event changed: (ordinal, mark) below its parent, and how far above all marks are written down."""

    parent: int
    height: int
    changes: tuple[tuple[int, int], ...]


class History:
    """The states of a ledger. One thread extends it while others read."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.roster = Roster()
        self._nodes = [_Node(-1, 0, ())]
        self._whole = {0: zlib.compress(b"")}  # all marks at some nodes
        self._known_at = [0]  # edits recorded by each revision
        self._amended_at: list[frozenset[int]] = [
            frozenset()
        ]  # by revision; as a rule the same object as the one before
        self._node_at = [0]  # the node of each revision; appended to last, for those who read meanwhile
        self._marks = bytearray()  # at the newest revision
        self._redacted: list[int] = []  # ordinals
        self._extending = Lock()
        self._at = lru_cache(maxsize=64)(self._state)  # the past never changes
        self.extend(events)

    @property
    def revision(self) -> int:
        return len(self._node_at) - 1

    def extend(self, events: Iterable[Event]) -> None:
        """Adds events; those already known are passed over, so that several threads may catch up at once.

        Raises:
            CorruptLedger: as ``fold``; nothing was added.
        """
        with self._extending:
            now = self.revision
            new = list(checked((e for e in events if e.seq > now), now, self.roster))
            for event in new:
                self._take(self.roster.step(event))

    def state(self, revision: int | None = None) -> State:
        """The state as of a revision; without one, of now. Raises UnknownRevision."""
        now = self.revision
        if revision is None:
            return self._at(now)
        if not 0 <= revision <= now:
            raise UnknownRevision(f"no revision {revision}: the ledger is at {now}")
        return self._at(revision)

    def _state(self, revision: int) -> State:
        marks = self._marks_of(self._node_at[revision], self._known_at[revision])
        return State(revision, self.roster, bytes(marks), self._amended_at[revision])

    def _marks_of(self, node: int, known: int) -> bytearray:
        """The marks at a node, of so many edits; of those recorded elsewhere in the tree none stands."""
        changes = []
        while node not in self._whole:
            changes.append(self._nodes[node].changes)
            node = self._nodes[node].parent
        marks = bytearray(zlib.decompress(self._whole[node]))
        marks.extend(bytes(known - len(marks)))
        for change in reversed(changes):
            for ordinal, mark in change:
                marks[ordinal] = mark
        return marks

    def _take(self, step: Step) -> None:
        node, amended = self._node_at[-1], self._amended_at[-1]
        if step.kind == "restore":
            node, amended = self._node_at[step.to], self._amended_at[step.to]
            self._marks = self._marks_of(node, len(self.roster))
            for ordinal in self._redacted:
                node = self._without(node, ordinal)
        elif step.kind == "apply":
            self._marks.append(ROLLED_BACK)
            node = self._below(node, self._applied(step.ordinal))
        elif step.kind == "amend":
            amended = amended | {step.seq}
        elif step.ordinal >= 0:
            self._redacted += [step.ordinal] if step.kind == "redact" else []
            node = self._without(node, step.ordinal)
        self._known_at.append(len(self.roster))
        self._amended_at.append(amended)
        self._node_at.append(node)

    def _without(self, node: int, ordinal: int) -> int:
        return self._below(node, self._taken_back(ordinal)) if self._marks[ordinal] else node

    def _below(self, parent: int, changes: tuple[tuple[int, int], ...]) -> int:
        for ordinal, mark in changes:
            self._marks[ordinal] = mark
        node, height = len(self._nodes), self._nodes[parent].height + 1
        if height == STRIDE:
            self._whole[node], height, changes = zlib.compress(self._marks, 1), 0, ()
        self._nodes.append(_Node(parent, height, changes))
        return node

    def _applied(self, new: int) -> tuple[tuple[int, int], ...]:
        return ((new, ACTIVE), *((older, SUPERSEDED) for older in self._beneath(new)))

    def _taken_back(self, gone: int) -> tuple[tuple[int, int], ...]:
        """The edit falls; those that it alone had replaced are in force again, if it was in force itself."""
        was, self._marks[gone] = self._marks[gone], ROLLED_BACK
        beneath = self._beneath(gone) if was == ACTIVE else []
        return ((gone, ROLLED_BACK), *((older, ACTIVE) for older in beneath if not self._covered(older, gone)))

    def _beneath(self, newest: int) -> list[int]:
        """The standing edits that replacing reaches first, through those that do not stand."""
        met, seen, todo = [], set[int](), list(self.roster.replaces[newest])
        while todo:
            older = todo.pop()
            if older in seen:
                continue
            seen.add(older)
            if self._marks[older]:
                met.append(older)
            else:
                todo.extend(self.roster.replaces[older])
        return met

    def _covered(self, older: int, gone: int) -> bool:
        """Whether a standing edit replaces this one, through whatever lies between; none does through ``gone``."""
        by, seen, todo = self.roster.replaced_by, {older, gone}, [older]
        while todo:
            newer = by.get(todo.pop(), ())
            if any(map(self._marks.__getitem__, newer)):
                return True
            further = [n for n in newer if n in by and n not in seen]
            seen.update(further)
            todo.extend(further)
        return False

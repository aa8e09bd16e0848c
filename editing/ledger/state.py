"""What follows from what happened: which edits stand at a revision, and the plain fold that says so.

The state at a revision is a function of the events up to it and of nothing else. ``fold`` reads them backwards: a
restore jumps to the revision that it returns to, a rollback strikes out one edit, a redaction does so for good, and an
apply that was not struck out is in the state. ``editing/ledger/history.py`` gives the same states for any revision of
a long ledger without reading it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from editing.errors import CorruptLedger, UnknownEdit
from editing.ledger.events import Event, Kind

Status = Literal["active", "superseded", "rolled_back"]
Mask = NDArray[np.bool_]  # one value an edit, by ordinal
ROLLED_BACK, ACTIVE, SUPERSEDED = range(3)  # an edit's mark
STATUSES: tuple[Status, ...] = ("rolled_back", "active", "superseded")


class Step(NamedTuple):
    """The part of an event that the state depends on; ``ordinal`` is -1 where it names no known edit."""

    kind: Kind
    ordinal: int
    to: int
    seq: int = 0


class Roster:
    """Every edit recorded, numbered in the order in which they were applied: its ordinal. It only ever grows.

    Attributes:
        ids: edit id by ordinal.
        replaces: ordinals of the earlier edits that each one replaces, by ordinal.
        replaced_by: ordinal -> ordinals of the edits that replace it, ascending.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.replaces: list[tuple[int, ...]] = []
        self.replaced_by: dict[int, list[int]] = {}
        self._ordinals: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def ordinal(self, edit_id: str) -> int:
        """-1 for an edit that was never recorded."""
        return self._ordinals.get(edit_id, -1)

    def step(self, event: Event) -> Step:
        """The event as a step; the edit that it applies gets the next ordinal."""
        if event.kind == "apply":
            self._add(event.edit_id or "", event.supersedes)
        return Step(event.kind, self.ordinal(event.edit_id or ""), event.to or 0, event.seq)

    def _add(self, edit_id: str, supersedes: Sequence[str]) -> None:
        ordinal = len(self.ids)
        older = tuple(self._ordinals[i] for i in supersedes if i in self._ordinals)
        self.replaces.append(older)
        for one in older:
            self.replaced_by.setdefault(one, []).append(ordinal)
        self._ordinals[edit_id] = ordinal
        self.ids.append(edit_id)


@dataclass(frozen=True, eq=False)
class State:
    """Which edits stand at a revision. A value: equal states are the same edits at the same revision.

    Attributes:
        revision: number of the last event that it rests on; 0 is the base model.
        roster: the edits by ordinal; those recorded after the revision are no part of the state.
        marks: one byte for each edit recorded by this revision, by ordinal.
        amended: the events that gave an edit further wordings, and count at this revision.
    """

    revision: int
    roster: Roster = field(repr=False)
    marks: bytes = field(repr=False)
    amended: frozenset[int] = frozenset()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        mine, theirs = ((s.revision, s.applied, s.superseded_by, s.amended) for s in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.revision, self.applied))

    def __contains__(self, edit_id: str) -> bool:
        """Whether an edit of this id was recorded by this revision."""
        return 0 <= self.roster.ordinal(edit_id) < len(self.marks)

    @cached_property
    def in_force(self) -> Mask:
        """(n,), which of the n edits recorded by this revision act, by ordinal."""
        mask: Mask = np.frombuffer(self.marks, np.uint8) == ACTIVE
        mask.flags.writeable = False
        return mask

    @cached_property
    def applied(self) -> tuple[str, ...]:
        """Edits that are not rolled back, in the order in which they were applied."""
        return tuple(compress(self.roster.ids, self.marks))

    @cached_property
    def active(self) -> tuple[str, ...]:
        """The edits in force, in ledger order."""
        return tuple(compress(self.roster.ids, self.in_force.tolist()))

    @cached_property
    def superseded_by(self) -> Mapping[str, str]:
        """Applied edit -> the edit in force that replaces it.

        Replacing reaches through: if c replaced b, and b replaced a, then a stays replaced by c, also after b was
        rolled back.
        """
        ids, standing = self.roster.ids, list(compress(range(len(self.marks)), self.marks))
        by = _superseded(standing, self.roster.replaces)
        return MappingProxyType({ids[older]: ids[by[older]] for older in standing if older in by})

    @cached_property
    def statuses(self) -> Mapping[str, Status]:
        """The status of every edit that was recorded up to this revision, in ledger order."""
        return MappingProxyType({i: STATUSES[mark] for mark, i in zip(self.marks, self.roster.ids, strict=False)})

    def status(self, edit_id: str) -> Status:
        """Raises UnknownEdit if no edit of this id was recorded up to this revision."""
        if edit_id not in self:
            raise UnknownEdit(f"no edit {edit_id} up to revision {self.revision}")
        return STATUSES[self.marks[self.roster.ordinal(edit_id)]]

    def without(self, edit_ids: Collection[str]) -> State:
        """This state if an edit that is not recorded yet took the place of these."""
        marks = bytearray(self.marks)
        for edit_id in edit_ids:
            if edit_id in self and marks[self.roster.ordinal(edit_id)]:
                marks[self.roster.ordinal(edit_id)] = SUPERSEDED
        return State(self.revision, self.roster, bytes(marks), self.amended)


def fold(events: Iterable[Event]) -> State:
    """The state after these events, which are all since the first.

    A rollback or redaction of an edit that does not stand changes nothing but the revision.

    Raises:
        CorruptLedger: an event that no ledger would have taken: a gap, a restore of the future, an edit applied twice.
    """
    roster = Roster()
    past = [roster.step(event) for event in checked(events, 0, roster)]
    standing = _standing(past)
    marks = bytearray(len(roster))
    for ordinal in standing:
        marks[ordinal] = ACTIVE
    for ordinal in _superseded(standing, roster.replaces):
        marks[ordinal] = SUPERSEDED if marks[ordinal] else ROLLED_BACK
    return State(len(past), roster, bytes(marks), frozenset(_amended(past)))


def checked(events: Iterable[Event], seq: int, roster: Roster) -> Iterator[Event]:
    """The events, which follow revision ``seq``, each looked at before the next is taken.

    Raises:
        CorruptLedger: as ``fold``.
    """
    new: set[str] = set()
    for event in events:
        seq += 1
        if event.seq != seq:
            raise CorruptLedger(seq, f"missing, the next event is {event.seq}")
        if event.kind == "restore" and not 0 <= (event.to or 0) < seq:
            raise CorruptLedger(seq, f"returns to revision {event.to}, which did not exist yet")
        if event.kind == "apply":
            edit_id = event.edit_id or ""
            if edit_id in new or roster.ordinal(edit_id) >= 0:
                raise CorruptLedger(seq, f"applies {edit_id} a second time")
            new.add(edit_id)
        yield event


def _standing(past: Sequence[Step]) -> list[int]:
    """Ordinals of the edits that are not rolled back, ascending."""
    gone = {step.ordinal for step in past if step.kind == "redact"}  # no restore brings them back
    kept: list[int] = []
    seq = len(past)
    while seq:
        step = past[seq - 1]
        if step.kind == "restore":
            seq = step.to
            continue
        if step.kind == "rollback":
            gone.add(step.ordinal)
        elif step.kind == "apply" and step.ordinal not in gone:
            kept.append(step.ordinal)
        seq -= 1
    return kept[::-1]


def _amended(past: Sequence[Step]) -> Iterator[int]:
    """The events on the way to the state that gave an edit further wordings."""
    seq = len(past)
    while seq:
        step = past[seq - 1]
        if step.kind == "amend":
            yield step.seq
        seq = step.to if step.kind == "restore" else seq - 1


def _superseded(standing: Sequence[int], replaces: Sequence[tuple[int, ...]]) -> dict[int, int]:
    """Whatever a standing edit reaches -> the newest one that does."""
    by: dict[int, int] = {}
    for newest in reversed(standing):
        todo = list(replaces[newest]) if newest not in by else []
        while todo:
            older = todo.pop()
            if older not in by:
                by[older] = newest
                todo.extend(replaces[older])
    return by


EMPTY = State(0, Roster(), b"")

"""Writes to the ledger: one writer at a time; edits are recorded in the order in which they were asked for."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from editing.errors import EditingError, LedgerConflict
from editing.ledger.events import Draft, Event
from editing.ledger.state import State
from errata.clock import now
from service.edits.computation import ComputedEdit, EditComputation
from service.edits.idempotency import IdempotencyKeys
from service.edits.listing import result_of
from service.edits.prepared_edit import PreparedEdit
from service.edits.registry import EditRegistry
from service.edits.stored_request import stored_request
from service.errors import (
    ChecksFailed,
    ClientGone,
    ContradictingEdits,
    IdempotencyMismatch,
    RevisionMoved,
    ServiceError,
)
from service.types.edits import EditItem, EditOptions, EditResult, OnItem, Outcome

RETRIES = 3  # when another process writes first
TOGETHER = 16  # edits made at once


@dataclass(frozen=True, eq=False)
class BatchItem:
    """An item that can be worked on, and its place in the batch."""

    place: int
    options: EditOptions
    prepared: PreparedEdit


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of the items of a batch, by place, as far as it is known. ``on_item`` hears of each."""

    on_item: OnItem | None
    known: dict[int, Outcome] = field(default_factory=dict)

    def add(self, place: int, outcome: Outcome) -> None:
        """Raises whatever ``on_item`` raises."""
        self.known[place] = outcome
        if self.on_item:
            self.on_item(place, outcome)

    def left(self, group: Sequence[BatchItem]) -> list[BatchItem]:
        """The items whose outcome is not known."""
        return [item for item in group if item.place not in self.known]

    def fail(self, group: Sequence[BatchItem], error: ServiceError | EditingError) -> None:
        """All items whose outcome is not known end with this error."""
        for item in self.left(group):
            self.add(item.place, error)


class EditWriter:
    """Turns requests into recorded events; one writer at a time.

    Args:
        computation: computes and verifies edits.
    """

    def __init__(self, registry: EditRegistry, computation: EditComputation) -> None:
        self.registry, self.computation = registry, computation
        self._keys = IdempotencyKeys(registry.ledger)
        self._writing = threading.Lock()

    def edit_many(self, items: Sequence[EditItem], on_item: OnItem | None = None) -> list[Outcome]:
        """Make edits in their order, each as if it had been asked for alone; what fails stops none of the others.

        Those that do not concern each other are computed together.

        Raises:
            ContradictingEdits: two items ask the same and want different answers; nothing was recorded.
            IdempotencyInProgress: another request with one of the keys is still running.
        """
        outcomes = Outcomes(on_item)
        with self._keys.held([options.idempotency_key for _, options in items]):
            prepared = self._prepared(items, outcomes)
            if found := self.registry.contradictions([item.prepared for item in prepared]):
                raise ContradictingEdits([(prepared[a].place, prepared[b].place) for a, b in found])
            moved: RevisionMoved | None = None
            for group in self._groups(prepared):
                moved = moved or self._edit_group(group, outcomes)
                if moved:  # nobody may build on a head that is not the expected one
                    outcomes.fail(group, moved)
        return [outcomes.known[place] for place in range(len(items))]

    def record(self, draft: Callable[[State], Draft], if_match: int | None) -> tuple[State, Event]:
        """Record what ``draft`` makes of the state; the state before, and the event.

        Raises:
            RevisionMoved: the head is not ``if_match``, or other processes always wrote first.
            Exception: whatever ``draft`` raises.
        """
        with self._writing:
            for attempt in range(RETRIES):
                before = self.registry.refresh()
                _expect_head(if_match, before.revision)
                try:
                    return before, self.registry.append(draft(before), after=before.revision)
                except LedgerConflict as conflict:  # another process wrote first; what it wrote is looked at anew
                    if attempt == RETRIES - 1:
                        raise RevisionMoved(conflict.expected, conflict.actual) from conflict
        raise AssertionError("unreachable")

    def _prepared(self, items: Sequence[EditItem], outcomes: Outcomes) -> list[BatchItem]:
        """What can be worked on. The outcome of the rest is an error, or what was recorded under its key before."""
        found = []
        for place, (request, options) in enumerate(items):
            try:
                if first := self._keys.first_answer(options):
                    outcomes.add(place, first)
                else:
                    found.append(BatchItem(place, options, self.computation.prepare(request)))
            except (ServiceError, EditingError) as error:
                outcomes.add(place, error)
        return found

    def _groups(self, items: Sequence[BatchItem]) -> Iterator[list[BatchItem]]:
        """Consecutive items that do not concern each other, so that their order makes no difference within a group."""
        group: list[BatchItem] = []
        for item in items:
            earlier = [other.prepared for other in group]
            if group and (len(group) == TOGETHER or self.registry.concerned(item.prepared, earlier)):
                yield group
                group = []
            group.append(item)
        if group:
            yield group

    def _edit_group(self, group: Sequence[BatchItem], outcomes: Outcomes) -> RevisionMoved | None:
        """Make and record a group; the error where it stopped because the head was not the expected one.

        Another process that writes first makes the rest of the group be looked at anew.
        """
        with self._writing:
            for _ in range(RETRIES):
                try:
                    self._record_group(outcomes.left(group), outcomes)
                    return None
                except LedgerConflict as conflict:
                    moved = RevisionMoved(conflict.expected, conflict.actual)
                    self._replay(outcomes.left(group), outcomes)
                    if any(item.options.if_match is not None for item in outcomes.left(group)):
                        return moved
                except RevisionMoved as error:
                    return error
                except ClientGone:
                    raise
                except (ServiceError, EditingError) as error:
                    outcomes.fail(group, error)
                    return None
        outcomes.fail(group, moved)
        return None

    def _record_group(self, group: Sequence[BatchItem], outcomes: Outcomes) -> None:
        """Make the edits of a group, and record one after the other."""
        if not group:
            return
        state = self.registry.refresh()
        _expect_head(group[0].options.if_match, state.revision)
        computed = self.computation.compute([item.prepared for item in group], state)
        for item, edit in zip(group, computed, strict=True):
            if item.options.dry_run:
                outcomes.add(item.place, _rehearsed(edit, item.options, state.revision))
            elif not edit.holds and not item.options.force:
                outcomes.add(item.place, ChecksFailed(edit.report))
            else:
                event = self._record_edit(edit, item.options, state.revision)
                state = self.registry.refresh()
                outcomes.add(item.place, result_of(event))

    def _record_edit(self, edit: ComputedEdit, options: EditOptions, head: int) -> Event:
        """The factor file first, the ledger row second (D4)."""
        base = self.computation.base
        factors = self.registry.store.save(edit.deltas, base.name)
        draft = Draft(
            kind="apply",
            edit_id=f"ed_{uuid.uuid4().hex}",
            actor=options.actor,
            reason=options.reason,
            request=stored_request(edit.prepared.request),
            report=edit.report,
            factors=factors,
            supersedes=edit.supersedes,
            model=base.digest,
            editor=edit.editor,
            base_revision=head,
            idempotency_key=options.idempotency_key,
            fingerprint=options.fingerprint if options.idempotency_key else None,
        )
        return self.registry.append(draft, after=head, wordings=edit.prepared.wordings)

    def _replay(self, group: Sequence[BatchItem], outcomes: Outcomes) -> None:
        """Another process may have recorded the same requests meanwhile."""
        for item in group:
            try:
                first = self._keys.first_answer(item.options)
            except IdempotencyMismatch as error:
                outcomes.add(item.place, error)
            else:
                if first:
                    outcomes.add(item.place, first)


def _expect_head(if_match: int | None, revision: int) -> None:
    """Raises RevisionMoved when the writer expects another head."""
    if if_match is not None and if_match != revision:
        raise RevisionMoved(if_match, revision)


def _rehearsed(edit: ComputedEdit, options: EditOptions, revision: int) -> EditResult:
    """The answer to a dry run: the same, without an id."""
    return EditResult(
        id=None,
        revision=revision,
        status="active",
        created_at=now(),
        actor=options.actor,
        request=edit.prepared.request,
        report=edit.report,
        reason=options.reason,
        supersedes=edit.supersedes,
    )

"""Correcting: edits are made, one writer at a time, and recorded in the order in which they were asked for."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from editing.edit import EditRequest
from editing.errors import EditingError, LedgerConflict
from editing.ledger.events import Draft, Event
from editing.scope.contradictions import contradictions
from service.edits.computation import SUPERSEDES, ComputedEdit, EditComputation, PreparedEdit, near
from service.edits.registry import request_of, stored_request
from service.errors import (
    ChecksFailed,
    ClientGone,
    ContradictingEdits,
    IdempotencyInProgress,
    IdempotencyMismatch,
    RevisionMoved,
    ServiceError,
)
from service.types import EditItem, EditOptions, EditResult, OnItem, Outcome

RETRIES = 3  # when another process writes first
TOGETHER = 16  # edits made at once
_Waiting = tuple[int, EditOptions, PreparedEdit]


class EditWriter:
    """Turns requests into recorded edits; one writer at a time.

    Args:
        maker: computes and verifies.
    """

    def __init__(self, maker: EditComputation) -> None:
        self.maker, self.book, self.compute = maker, maker.book, maker.compute
        self.writing = threading.Lock()
        self._running: set[str] = set()
        self._guard = threading.Lock()

    def edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        """Make an edit as ``options`` say.

        Raises:
            InvalidEdit, ChecksFailed, RevisionMoved, IdempotencyMismatch, IdempotencyInProgress, StorageError, NotReady
        """
        (outcome,) = self.edit_many([(request, options)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def edit_many(self, items: Sequence[EditItem], on_item: OnItem | None = None) -> list[Outcome]:
        """Make edits in their order, each as if it had been asked for alone; what fails stops none of the others.

        Those that do not concern each other are computed together.

        Raises:
            ContradictingEdits: two items ask the same and want different answers; nothing was recorded.
            IdempotencyInProgress: another request with one of the keys is still running.
            RevisionMoved: the first item's ``if_match`` is not the head.
        """
        outcomes: dict[int, Outcome] = {}

        def tell(place: int, outcome: Outcome) -> None:
            outcomes[place] = outcome
            if on_item:
                on_item(place, outcome)

        with self._once([options.idempotency_key for _, options in items]):
            asked = self._asked(items, tell)
            self._refuse_contradictions(asked)
            moved: RevisionMoved | None = None
            for group in self._groups([(n, items[n][1], one) for n, one in asked.items()]):
                moved = moved or self._edit_group(group, tell)
                if moved:  # nobody may build on a head that is not the expected one
                    self._give_up(group, moved, tell)
        return [outcomes[place] for place in range(len(items))]

    def _asked(self, items: Sequence[EditItem], tell: OnItem) -> dict[int, PreparedEdit]:
        """What can be worked on; of the rest it is told why not, or what became of it when it was asked for before."""
        asked = {}
        for place, (request, options) in enumerate(items):
            try:
                if first := self._first_answer(options):
                    tell(place, first)
                else:
                    asked[place] = self.maker.asked(request)
            except (ServiceError, EditingError) as error:
                tell(place, error)
        return asked

    def _refuse_contradictions(self, asked: dict[int, PreparedEdit]) -> None:
        places = list(asked)
        requests, wordings = [asked[n].request for n in places], [asked[n].wordings for n in places]
        found = self.compute.run(contradictions, self.book.scope, requests, wordings, SUPERSEDES)
        if found:
            raise ContradictingEdits([(places[a], places[b]) for a, b in found])

    def _groups(self, waiting: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
        """Consecutive items that do not concern each other, so that their order makes no difference within a group."""
        group: list[_Waiting] = []
        for one in waiting:
            if group and (len(group) == TOGETHER or self.compute.run(self._concerned, one[2], [g[2] for g in group])):
                yield group
                group = []
            group.append(one)
        if group:
            yield group

    def _concerned(self, one: PreparedEdit, earlier: Sequence[PreparedEdit]) -> bool:
        """Whether an earlier edit would act on what a later one's verification asks."""
        if any(asked.request.scope == "global" for asked in (one, *earlier)):
            return True
        scope = self.book.scope
        return any(
            near(vectors, other.wordings) and scope.score(text, vectors, other.wordings) > 0
            for text, vectors in zip(one.prompts, one.vectors, strict=True)
            for other in earlier
        )

    def _edit_group(self, group: list[_Waiting], tell: OnItem) -> RevisionMoved | None:
        """Make and record a group, and empty it; the error where it stopped because the head was not the expected one.

        Another process that writes first makes the rest of the group be looked at anew.
        """
        with self.writing:
            for _ in range(RETRIES):
                try:
                    self._record_group(group, tell)
                    return None
                except LedgerConflict as conflict:
                    moved = RevisionMoved(conflict.expected, conflict.actual)
                    group[:] = [one for one in group if not self._done_elsewhere(one, tell)]
                    if any(options.if_match is not None for _, options, _ in group):
                        return moved
                except RevisionMoved as error:
                    return error
                except ClientGone:
                    raise
                except (ServiceError, EditingError) as error:
                    self._give_up(group, error, tell)
                    return None
        self._give_up(group, moved, tell)
        return None

    def _give_up(self, group: list[_Waiting], error: ServiceError | EditingError, tell: OnItem) -> None:
        while group:
            tell(group.pop(0)[0], error)

    def _record_group(self, group: list[_Waiting], tell: OnItem) -> None:
        """Make what is left of the group, and take each item off it once it is known what became of it."""
        if not group:
            return
        state = self.book.refresh()
        expect_head(group[0][1].if_match, state.revision)
        for made in self.maker.make([asked for *_, asked in group], state):
            place, options, _ = group[0]
            outcome: Outcome
            if options.dry_run:
                outcome = rehearsed(made, options, state.revision)
            elif not made.verification.holds and not options.force:
                outcome = ChecksFailed(made.report)
            else:
                event = self._record(made, options, state.revision)
                state, outcome = self.book.refresh(), result_of(event)
            group.pop(0)
            tell(place, outcome)

    def _record(self, made: ComputedEdit, options: EditOptions, head: int) -> Event:
        """The factor file first, the ledger row second (D4)."""
        assert self.maker.editor is not None
        factors = self.book.store.save(made.deltas, self.maker.base.name)
        draft = Draft(
            kind="apply",
            edit_id=f"ed_{uuid.uuid4().hex}",
            actor=options.actor,
            reason=options.reason,
            request=stored_request(made.asked.request),
            report=made.report,
            factors=factors,
            supersedes=made.supersedes,
            model=self.maker.base.digest,
            editor=self.maker.editor.digest,
            base_revision=head,
            idempotency_key=options.idempotency_key,
            fingerprint=options.fingerprint if options.idempotency_key else None,
        )
        return self.book.append(draft, after=head, wordings=made.asked.wordings)

    def _done_elsewhere(self, waiting: _Waiting, tell: OnItem) -> bool:
        """Whether what another process recorded was the same request."""
        try:
            first = self._first_answer(waiting[1])
        except IdempotencyMismatch as error:
            tell(waiting[0], error)
            return True
        if first:
            tell(waiting[0], first)
        return first is not None

    def _first_answer(self, options: EditOptions) -> EditResult | None:
        if options.idempotency_key is None:
            return None
        event = self.book.ledger.by_idempotency_key(options.idempotency_key)
        if event is None:
            return None
        if event.fingerprint != options.fingerprint:
            raise IdempotencyMismatch(
                f"the idempotency key {options.idempotency_key!r} was used with another body before"
            )
        return result_of(event, replayed=True)

    @contextmanager
    def _once(self, given: Sequence[str | None]) -> Iterator[None]:
        """While the first request with a key runs, a second one is refused."""
        keys = {key for key in given if key is not None}
        with self._guard:
            if running := keys & self._running:
                raise IdempotencyInProgress(
                    f"the first request with the idempotency key {min(running)!r} is still running; ask again later"
                )
            self._running |= keys
        try:
            yield
        finally:
            with self._guard:
                self._running -= keys


def expect_head(if_match: int | None, revision: int) -> None:
    """Raises RevisionMoved when the writer expects another head."""
    if if_match is not None and if_match != revision:
        raise RevisionMoved(if_match, revision)


def result_of(event: Event, *, replayed: bool = False) -> EditResult:
    """An apply event as the answer to the request that made it."""
    return EditResult(
        event.edit_id,
        event.seq,
        "active",
        event.at,
        event.actor,
        request_of(event.request or {}),
        event.report or {},
        event.reason,
        tuple(event.supersedes),
        replayed,
    )


def rehearsed(made: ComputedEdit, options: EditOptions, revision: int) -> EditResult:
    """The answer to a dry run: the same, without an id."""
    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return EditResult(
        None, revision, "active", at, options.actor, made.asked.request, made.report, options.reason, made.supersedes
    )

"""The record of all edits: ledger, factors and scope as one thing that can be asked what is in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from editing.edit import Edit, EditRequest
from editing.errors import CorruptLedger, EditRedacted, UnknownEdit
from editing.ledger.events import Draft, Event
from editing.ledger.history import History
from editing.ledger.ledger import Ledger, LedgerVerification
from editing.ledger.state import Mask, State
from editing.scope.column import Column
from editing.scope.contradictions import contradictions
from editing.scope.cross_encoder import Kind
from editing.scope.index import ScopeIndex, ScopeMatch
from editing.scope.prompt import ScopePrompt
from editing.scope.wordings import Wordings
from editing.store import EditStore
from service.acting.acting_edit import ActingEdit
from service.edits.factor_health import FactorHealth
from service.edits.lru_cache import LruCache
from service.edits.prepared_edit import PreparedEdit, concerned
from service.edits.stored_request import request_of
from service.engines.compute_thread import ComputeThread
from service.types.edits import Amendment, EditChoice

KEPT_FACTORS = 256  # edits whose factors stay in memory
KEPT_EVENTS = 256
PAGE = 1000  # events read at once
SUPERSEDES = (
    1.5  # log-odds above the scope threshold, read either way round, from which an edit takes an old one's place
)
PATIENCE = 2.0  # seconds after which progress is said
Candidate = tuple[str, Wordings]
InForce = dict[str, Kind | None]  # ids of the edits that act on a prompt, and what the prompt is to each
About = str | ScopePrompt
Say = Callable[[str], None]


class EditRegistry:
    """Everything recorded, caught up with the ledger at every question, so that several processes agree.

    Of an edit it keeps in memory its place, its wordings and whether it is global; events are read when asked for.

    Args:
        ledger: what happened.
        store: factor files.
        scope: wordings of all edits; asked in the compute thread.
        say: hears how far reading a long ledger has come.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: EditStore,
        scope: ScopeIndex,
        compute: ComputeThread,
        say: Say = lambda _: None,
    ) -> None:
        self.ledger, self.store, self.scope, self.compute, self.say = ledger, store, scope, compute, say
        self.health = FactorHealth(store)
        self._history = History()
        self._global = Column(bool)  # by ordinal
        self._redacted: set[str] = set()
        self._events, self._edits = LruCache[Event](KEPT_EVENTS), LruCache[Edit](KEPT_FACTORS)
        self._lock = threading.Lock()
        compute.run(self.refresh)  # embeds the wordings that are not kept

    def refresh(self) -> State:
        """The state now, with every event that any process has appended."""
        head = self.ledger.head()
        if head > self._history.revision:
            with self._lock:
                self._catch_up(head)
        return self._history.state()

    def state(self, revision: int | None) -> State:
        """The state as of a revision, None for now.

        Raises:
            UnknownRevision: the ledger has none such.
        """
        now = self.refresh()
        return now if revision is None else self._history.state(revision)

    def event(self, edit_id: str) -> Event:
        """The apply event of an edit.

        Raises:
            UnknownEdit
        """
        if self._history.roster.ordinal(edit_id) < 0:
            raise UnknownEdit(f"there is no edit {edit_id}")
        return self._events.get(edit_id, self._read)

    def request(self, edit_id: str, state: State | None = None) -> EditRequest:
        """What an edit is about, with the wordings that it was given since, as of a state; None: as it was made."""
        request = request_of(self.event(edit_id).request or {})
        if state is None or not state.amended:
            return request
        wordings = self.scope.recorded(edit_id, state.amended)
        rephrases = tuple(text for text in wordings.own if text != request.input)
        return replace(request, rephrases=rephrases, locality=wordings.apart)

    def check_amendment(self, edit_id: str, added: Amendment, state: State) -> None:
        """Whether an edit can be given these wordings; their vectors are kept, so that no reader has to embed them.

        Raises:
            EditRedacted, InvalidEdit
        """
        if edit_id in self._redacted:
            raise EditRedacted(f"{edit_id} was redacted; it answers to nothing any more")
        known = self.request(edit_id, state)
        own, apart = (*known.rephrases, *added.rephrases), (*known.locality, *added.locality)
        self.scope.check(replace(known, rephrases=own, locality=apart))
        self.compute.run(self.scope.vectors.kept, [*added.rephrases, *added.locality])

    def edit(self, edit_id: str) -> Edit:
        """An edit with its factors, from memory or from disk.

        Raises:
            UnknownEdit, DamagedEdit
        """
        return self._edits.get(edit_id, self._load)

    def without(self, state: State, ids: Collection[str]) -> State:
        """The state as if these edits had not been recorded."""
        return state.without(ids) if ids else state

    def everywhere(self, state: State) -> list[str]:
        """Edits in force that act on every prompt."""
        ids = (state.roster.ids[n] for n in np.flatnonzero(state.in_force & self._globals(state)))
        return [i for i in ids if i not in self._redacted]

    def acting(self, about: About, state: State, choice: EditChoice = "active") -> list[ActingEdit]:
        """The edits that :meth:`in_force` names, with their factors; raises DamagedEdit as well."""
        return [ActingEdit(self.edit(edit_id), kind) for edit_id, kind in self.in_force(about, state, choice).items()]

    def in_force(
        self,
        about: About,
        state: State,
        choice: EditChoice = "active",
        candidate: Candidate | None = None,
    ) -> InForce:
        """The edits that act on a prompt, in ledger order: all global ones and the best matched one.

        Args:
            about: the prompt, and what was said before it.
            choice: ``none``, or exact ids, which then act whatever their scope.
            candidate: an edit not recorded yet that takes part as if it were the last.

        Raises:
            UnknownEdit: an id in ``choice`` was not recorded by this revision.
            EditRedacted: its texts were erased; it acts on nothing any more, whatever the revision.
        """
        if choice == "none":
            return {}
        if not isinstance(choice, str):
            return dict.fromkeys(self._chosen(choice, state))
        acting: InForce = dict.fromkeys(self.everywhere(state))
        among = state.in_force & ~self._globals(state)
        best = self.compute.run(self.scope.best, about, among, candidate, state.amended)
        if best is None:
            return acting
        acting[best.edit_id] = best.kind
        if candidate and best.edit_id == candidate[0]:
            return acting
        return dict(sorted(acting.items(), key=lambda one: state.roster.ordinal(one[0])))

    def matches(self, about: About, state: State) -> list[ScopeMatch]:
        """The matched edits in force that were read with a prompt, best first."""
        among = state.in_force & ~self._globals(state)
        return self.compute.run(self.scope.rank, about, among, None, state.amended)

    def superseded(self, request: EditRequest, wordings: Wordings, state: State) -> tuple[str, ...]:
        """Edits in force of the same scope that the new request takes the place of: those that ask the very same.

        That is certain where the input is one of their wordings, or where the scope model is sure either way round.
        """
        rivals = state.in_force & (self._globals(state) == (request.scope == "global"))
        certain = self.compute.run(self.scope.asking_the_same, wordings, rivals, SUPERSEDES, state.amended)
        return tuple(sorted(certain, key=state.roster.ordinal))

    def wordings(self, request: EditRequest) -> Wordings:
        """What an edit made of the request would answer to."""
        return self.compute.run(self.scope.wordings, request)

    def contradictions(self, edits: Sequence[PreparedEdit]) -> list[tuple[int, int]]:
        """Places of edits that ask the same and want different answers, the earlier one first."""
        return self.compute.run(contradictions, self.scope, [edit.wordings for edit in edits], SUPERSEDES)

    def concerned(self, later: PreparedEdit, earlier: Sequence[PreparedEdit]) -> bool:
        """Whether one of the earlier edits, once recorded, would act on what the later one's verification asks."""
        return self.compute.run(concerned, self.scope, later, earlier)

    def append(self, draft: Draft, after: int, wordings: Wordings | None = None) -> Event:
        """Record an event; raises LedgerConflict when the head has moved, StorageError when the disk refuses."""
        if wordings is not None:
            self.scope.keep(wordings)  # first, so that whoever reads the event finds them
        event = self.ledger.append(draft, after)
        self.refresh()
        return event

    def verify(self) -> LedgerVerification:
        """Hash chain and factor files; the first event that does not hold is named."""
        checked = self.ledger.verify()
        with suppress(CorruptLedger):
            self.refresh()
        damaged = self.health.check_all()
        if damaged and (checked.ok or damaged[0].seq < (checked.first_bad_seq or 0)):
            return LedgerVerification(False, checked.events, checked.head_hash, damaged[0].seq, damaged[0].why)
        return checked

    def _catch_up(self, head: int) -> None:
        began = time.monotonic()
        while self._history.revision < head:
            events = self.ledger.events(after=self._history.revision, limit=PAGE)
            if not events:
                return
            self._take_in([event for event in events if event.kind == "apply"])
            for event in events:
                if event.kind == "redact":
                    self._forget(event.edit_id or "")
                elif event.kind == "amend" and not event.redacted:
                    added = event.request or {}
                    self.scope.amend(event.edit_id or "", added["rephrases"], added["locality"], event.seq)
            self._history.extend(events)
            if time.monotonic() - began > PATIENCE:
                began = time.monotonic()
                self.say(f"ledger read up to event {events[-1].seq} of {head}")

    def _take_in(self, applied: Sequence[Event]) -> None:
        """Before they are history, so that a state never names an edit that scope lacks."""
        requests = [None if event.redacted else request_of(event.request or {}) for event in applied]
        self.scope.add_all([(event.edit_id or "", r) for event, r in zip(applied, requests, strict=True)])
        self._redacted |= {event.edit_id or "" for event in applied if event.redacted}
        known = len(self._global)  # more than are history where an event after them could not be taken
        first = len(self._history.roster)
        self._global.extend([(e.request or {}).get("scope") == "global" for e in applied][known - first :])
        for event in applied:
            self.health.expect(event)

    def _forget(self, edit_id: str) -> None:
        """Its texts were erased."""
        self._redacted.add(edit_id)
        self.scope.forget(edit_id)
        self._events.erase(edit_id)
        self._edits.erase(edit_id)

    def _chosen(self, ids: Sequence[str], state: State) -> list[str]:
        for edit_id in ids:
            if edit_id not in state:
                raise UnknownEdit(f"there is no edit {edit_id} at revision {state.revision}")
            if edit_id in self._redacted:
                raise EditRedacted(f"{edit_id} was redacted; what its factors have learned is not shown any more")
        return sorted(set(ids), key=state.roster.ordinal)

    def _globals(self, state: State) -> Mask:
        """(n,), which of the state's edits act on every prompt."""
        return self._global.values[: len(state.marks)]

    def _read(self, edit_id: str) -> Event:
        event = self.ledger.applied(edit_id)
        if event is None:
            raise UnknownEdit(f"there is no edit {edit_id}")
        return event

    def _load(self, edit_id: str) -> Edit:
        event = self.event(edit_id)
        return Edit(edit_id, request_of(event.request or {}), self.health.factors(edit_id), event.factors or "")

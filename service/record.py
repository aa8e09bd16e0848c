"""The record of all edits: ledger, factors and scope as one thing that can be asked what is in force."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from editing.edit import Edit, EditRequest
from editing.errors import CorruptLedger, UnknownEdit
from editing.events import Draft, Event
from editing.history import History
from editing.ledger import Ledger, Verification
from editing.scope import SAME, ScopeIndex, Wordings, names_in
from editing.state import State
from editing.store import EditStore
from service.health import FactorHealth
from service.usecases import EditChoice

KEPT_FACTORS = 256  # edits whose factors stay in memory
Candidate = tuple[str, Wordings]


class EditRecordBook:
    """Everything recorded, caught up with the ledger at every question, so that several processes agree.

    Args:
        ledger: what happened.
        store: factor files.
        scope: wordings of all edits.
    """

    def __init__(self, ledger: Ledger, store: EditStore, scope: ScopeIndex) -> None:
        self.ledger, self.store, self.scope = ledger, store, scope
        self.health = FactorHealth(store)
        self._history = History()
        self._applied: dict[str, Event] = {}
        self._kept: OrderedDict[str, Edit] = OrderedDict()
        self._lock = threading.RLock()
        self.refresh()

    def refresh(self) -> State:
        """The state now, with every event that any process has appended."""
        known = self._history.revision
        if self.ledger.head() > known:
            with self._lock:
                events = self.ledger.events(after=self._history.revision)
                for event in events:
                    if event.kind == "apply":
                        self._take_in(event)
                self._history.extend(events)
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
        if edit_id not in self._applied:
            raise UnknownEdit(f"there is no edit {edit_id}")
        return self._applied[edit_id]

    def request(self, edit_id: str) -> EditRequest:
        return request_of(self.event(edit_id).request or {})

    def edit(self, edit_id: str) -> Edit:
        """An edit with its factors, from memory or from disk.

        Raises:
            UnknownEdit, DamagedEdit
        """
        event = self.event(edit_id)
        with self._lock:
            if edit_id in self._kept:
                self._kept.move_to_end(edit_id)
                return self._kept[edit_id]
        edit = Edit(edit_id, request_of(event.request or {}), self.health.factors(edit_id), event.factors or "")
        with self._lock:
            self._kept[edit_id] = edit
            while len(self._kept) > KEPT_FACTORS:
                self._kept.popitem(last=False)
        return edit

    def without(self, state: State, ids: Collection[str]) -> State:
        """The state as if these edits had not been recorded."""
        return state.without(ids) if ids else state

    def everywhere(self, state: State) -> list[str]:
        """Edits in force that act on every prompt."""
        return [i for i in state.active if self._is_global(i)]

    def in_force(
        self, about: str, state: State, choice: EditChoice = "active", candidate: Candidate | None = None
    ) -> list[str]:
        """Ids of the edits that act on a prompt, in ledger order: all global ones and the best matched one.

        Args:
            about: what the prompt asks.
            choice: ``none``, or exact ids, which then act whatever their scope.
            candidate: an edit not recorded yet that takes part as if it were the last.

        Raises:
            UnknownEdit: an id in ``choice`` was not recorded by this revision.
        """
        if choice == "none":
            return []
        if not isinstance(choice, str):
            for edit_id in choice:
                if edit_id not in state.statuses:
                    raise UnknownEdit(f"there is no edit {edit_id} at revision {state.revision}")
            return sorted(set(choice), key=lambda i: self.event(i).seq)
        everywhere = [i for i in state.active if self._is_global(i)]
        matched = [i for i in state.active if not self._is_global(i)]
        best = self.scope.rank(about, matched, candidate)[:1] if matched or candidate else []
        chosen = {*everywhere, *(match.edit_id for match in best)}
        own = [candidate[0]] if candidate and candidate[0] in chosen else []
        return [*(i for i in state.active if i in chosen), *own]

    def superseded(self, request: EditRequest, state: State, margin: float) -> tuple[str, ...]:
        """Edits in force of the same kind that the new request takes the place of: those that ask the very same.

        Asking nearly the same of another name ("Guinea", "Guinea-Bissau") does not count, however alike it sounds.
        """
        rivals = [i for i in state.active if self._is_global(i) == (request.scope == "global")]
        named = names_in(request.input)
        certain = [
            match.edit_id
            for match in self.scope.rank(request.input, rivals)
            if match.score == SAME
            or (match.score >= margin and named and named == names_in(self.request(match.edit_id).input))
        ]
        return tuple(sorted(certain, key=lambda i: self.event(i).seq))

    def append(self, draft: Draft, after: int, wordings: Wordings | None = None) -> Event:
        """Record an event; raises LedgerConflict when the head has moved, StorageError when the disk refuses."""
        event = self.ledger.append(draft, after)
        if wordings is not None and event.edit_id:
            self.scope.add(event.edit_id, wordings)
        self.refresh()
        return event

    def verify(self) -> Verification:
        """Hash chain and factor files; the first event that does not hold is named."""
        checked = self.ledger.verify()
        with suppress(CorruptLedger):
            self.refresh()
        damaged = self.health.check_all()
        if damaged and (checked.ok or damaged[0].seq < (checked.first_bad_seq or 0)):
            return Verification(False, checked.events, checked.head_hash, damaged[0].seq, damaged[0].why)
        return checked

    def _take_in(self, event: Event) -> None:
        edit_id = event.edit_id or ""
        self._applied[edit_id] = event
        self.health.expect(event)
        if edit_id not in self.scope:
            self.scope.add(edit_id, self.scope.wordings(request_of(event.request or {})))

    def _is_global(self, edit_id: str) -> bool:
        return (self.event(edit_id).request or {}).get("scope") == "global"


def request_of(stored: Mapping[str, Any]) -> EditRequest:
    """The request as recorded in an event."""
    return EditRequest(
        stored["input"], stored["output"], bool(stored.get("raw")),
        tuple(stored.get("rephrases", ())), tuple(stored.get("locality", ())), stored.get("scope", "matched"),
    )  # fmt: skip


def stored_request(request: EditRequest) -> dict[str, Any]:
    """A request as JSON, for an event."""
    return {
        "input": request.input, "output": request.output, "raw": request.raw,
        "rephrases": list(request.rephrases), "locality": list(request.locality), "scope": request.scope,
    }  # fmt: skip

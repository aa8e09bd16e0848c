"""Edits and events as the contract shows them."""

from __future__ import annotations

from typing import Any

from editing.errors import UnknownEdit
from editing.events import Event
from editing.state import State
from service.errors import InvalidPrompt
from service.record import EditRecordBook, request_of
from service.usecases import EditRecord, EditsPage, StatusFilter


def event_json(event: Event) -> dict[str, Any]:
    """One event; everything that its hash covers, so that a reader can check the chain without the service."""
    shown = {
        "seq": event.seq, "kind": event.kind, "edit_id": event.edit_id, "to": event.to, "actor": event.actor,
        "reason": event.reason, "at": event.at, "prev_hash": event.prev_hash, "hash": event.hash,
    }  # fmt: skip
    return {
        **shown, "supersedes": list(event.supersedes), "request": event.request, "report": event.report,
        "factors": event.factors, "model": event.model, "editor": event.editor, "base_revision": event.base_revision,
        "idempotency_key": event.idempotency_key, "fingerprint": event.fingerprint,
    }  # fmt: skip


def record(book: EditRecordBook, state: State, edit_id: str, *, with_events: bool = False) -> EditRecord:
    """One edit with its status now.

    Raises:
        UnknownEdit
    """
    event = book.event(edit_id)
    events = _events_of(book, edit_id) if with_events else ()
    damaged = with_events and book.health.check(edit_id) is not None
    return EditRecord(
        edit_id, event.seq, state.status(edit_id), event.at, event.actor, request_of(event.request or {}),
        event.report or {}, event.reason, tuple(event.supersedes), events, damaged,
    )  # fmt: skip


def page(book: EditRecordBook, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage:
    """Edits of a status in the order of the ledger; the cursor is the id of the last one shown."""
    state = book.refresh()
    ids = [i for i, has in state.statuses.items() if status in ("all", has)]
    if cursor:
        try:
            last = book.event(cursor).seq
        except UnknownEdit as error:
            raise InvalidPrompt("cursor", "this cursor did not come from this list") from error
        ids = [i for i in ids if book.event(i).seq > last]
    shown = ids[:limit]
    return EditsPage(
        tuple(record(book, state, i) for i in shown), shown[-1] if len(ids) > limit else None, state.revision
    )


def _events_of(book: EditRecordBook, edit_id: str) -> tuple[dict[str, Any], ...]:
    return tuple(event_json(event) for event in book.ledger.of_edit(edit_id))

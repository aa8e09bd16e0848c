"""Edits and events as the contract shows them."""

from __future__ import annotations

from typing import Any

from editing.errors import UnknownEdit
from editing.ledger.log_file import event_json
from editing.ledger.state import State
from service.edits.registry import EditRegistry, request_of
from service.errors import InvalidPrompt
from service.types import EditRecord, EditsPage, StatusFilter


def record(book: EditRegistry, state: State, edit_id: str, *, with_events: bool = False) -> EditRecord:
    """One edit with its status now.

    Raises:
        UnknownEdit
    """
    event = book.event(edit_id)
    events = _events_of(book, edit_id) if with_events else ()
    damaged = with_events and book.health.check(edit_id) is not None
    request = (event.request or {}) if event.redacted else request_of(event.request or {})
    return EditRecord(
        edit_id,
        event.seq,
        state.status(edit_id),
        event.at,
        event.actor,
        request,
        event.report or {},
        event.reason,
        tuple(event.supersedes),
        events,
        damaged,
        event.redacted,
    )


def page(book: EditRegistry, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage:
    """Edits of a status in the order of the ledger; the cursor is the id of the last one shown."""
    state = book.refresh()
    ids = [i for i, has in state.statuses.items() if status in ("all", has)]
    if cursor:
        try:
            book.event(cursor)
        except UnknownEdit as error:
            raise InvalidPrompt("cursor", "this cursor did not come from this list") from error
        last = state.roster.ordinal(cursor)
        ids = [i for i in ids if state.roster.ordinal(i) > last]
    shown = ids[:limit]
    return EditsPage(
        tuple(record(book, state, i) for i in shown), shown[-1] if len(ids) > limit else None, state.revision
    )


def _events_of(book: EditRegistry, edit_id: str) -> tuple[dict[str, Any], ...]:
    return tuple(event_json(event) for event in book.ledger.of_edit(edit_id))

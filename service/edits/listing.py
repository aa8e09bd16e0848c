"""Edits and events as the contract shows them."""

from __future__ import annotations

import math
from typing import Any

from editing.errors import UnknownEdit
from editing.ledger.events import Event as LedgerEvent
from editing.ledger.log_file import event_json
from editing.ledger.state import State
from editing.scope.index import ScopeMatch
from editing.scope.prompt import ScopePrompt
from service.acting.acting_edit import kind_name
from service.edits.registry import EditRegistry
from service.edits.stored_request import request_of
from service.errors import InvalidPrompt
from service.types.edits import (
    ConsideredEdit,
    EditDetails,
    EditRecord,
    EditResult,
    EditsPage,
    PromptMatch,
    StatusFilter,
)

CERTAIN = 99.0  # stands for a score without bound: JSON has no infinity


def result_of(event: LedgerEvent, *, replayed: bool = False) -> EditResult:
    """An apply event as the answer to the request that made it."""
    return EditResult(
        id=event.edit_id,
        revision=event.seq,
        status="active",
        created_at=event.at,
        actor=event.actor,
        request=request_of(event.request or {}),
        report=event.report or {},
        reason=event.reason,
        supersedes=tuple(event.supersedes),
        replayed=replayed,
    )


def page(registry: EditRegistry, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage:
    """Edits of a status in the order of the ledger; the cursor is the id of the last one shown."""
    state = registry.refresh()
    ids = [i for i, has in state.statuses.items() if status in ("all", has)]
    if cursor:
        try:
            registry.event(cursor)
        except UnknownEdit as error:
            raise InvalidPrompt("cursor", "this cursor did not come from this list") from error
        last = state.roster.ordinal(cursor)
        ids = [i for i in ids if state.roster.ordinal(i) > last]
    shown = ids[:limit]
    records = tuple(EditRecord(**_fields(registry, state, i)) for i in shown)
    return EditsPage(records, shown[-1] if len(ids) > limit else None, state.revision)


def details(registry: EditRegistry, edit_id: str) -> EditDetails:
    """One edit, everything that happened to it, and whether its file is whole.

    Raises:
        UnknownEdit
    """
    fields = _fields(registry, registry.refresh(), edit_id)
    events = tuple(event_json(event) for event in registry.ledger.of_edit(edit_id))
    return EditDetails(**fields, events=events, damaged=registry.health.check(edit_id) is not None)


def _fields(registry: EditRegistry, state: State, edit_id: str) -> dict[str, Any]:
    """Of an :class:`EditRecord`."""
    event = registry.event(edit_id)
    return {
        "id": edit_id,
        "revision": event.seq,
        "status": state.status(edit_id),
        "created_at": event.at,
        "actor": event.actor,
        "request": (event.request or {}) if event.redacted else registry.request(edit_id, state),
        "report": event.report or {},
        "reason": event.reason,
        "supersedes": tuple(event.supersedes),
        "redacted": event.redacted,
    }


def matched(registry: EditRegistry, about: ScopePrompt, state: State, k: int) -> PromptMatch:
    """The matched edit in force for a prompt, and the best k that were considered."""
    found = registry.matches(about, state)
    best = found[0] if found and found[0].score > 0 else None
    return PromptMatch(
        best.edit_id if best else None,
        kind_name(best.kind) if best else None,
        tuple(_considered(one) for one in found[:k]),
    )


def _considered(match: ScopeMatch) -> ConsideredEdit:
    score = match.score if math.isfinite(match.score) else math.copysign(CERTAIN, match.score)
    kind = kind_name(match.kind) if match.score > 0 else None
    return ConsideredEdit(match.edit_id, round(score, 3), kind, match.wording, match.why)

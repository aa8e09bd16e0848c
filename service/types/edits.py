"""Edits as values: how one is asked for, what was made of it, and what the ledger knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from editing.edit import EditRequest

EditStatus = Literal["active", "rolled_back", "superseded"]
StatusFilter = Literal["active", "rolled_back", "superseded", "all"]
KindName = Literal["asks", "confirms", "within", "reverse"]  # what a prompt is to an edit in force
EditChoice = Literal["active", "none"] | tuple[str, ...]  # the edits in force, no edits, or exactly these
Report = Mapping[str, Any]  # ``report`` of an edit in the JSON form of the contract
Event = Mapping[str, Any]  # one ledger event in the JSON form of the contract


@dataclass(frozen=True)
class EditOptions:
    """How an edit is to be made.

    Attributes:
        if_match: the revision that the head must have, or None when any will do.
        fingerprint: digest of the request body; the same ``idempotency_key`` with another fingerprint is refused.
        former_fingerprints: what earlier releases would have recorded for the same body.
    """

    actor: str
    reason: str | None = None
    dry_run: bool = False
    force: bool = False
    if_match: int | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    former_fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditResult:
    """A made (or, with ``id`` None, a rehearsed) edit; ``revision`` is its event's, or the head's for a dry run."""

    id: str | None
    revision: int
    status: EditStatus
    created_at: str  # RFC 3339, UTC
    actor: str
    request: EditRequest
    report: Report
    reason: str | None = None
    supersedes: tuple[str, ...] = ()
    replayed: bool = False  # the first answer again, because the idempotency key was seen before


EditItem = tuple[EditRequest, EditOptions]
Outcome = EditResult | Exception  # of one item; the errors are those that ``edit`` raises
OnItem = Callable[[int, Outcome], None]  # (place in the batch, what became of it); may raise ClientGone, as OnPiece


@dataclass(frozen=True)
class BatchResult:
    """What became of each item, and the head afterwards."""

    outcomes: tuple[Outcome, ...]
    revision: int


@dataclass(frozen=True, kw_only=True)
class EditRecord:
    """An edit as the log knows it. ``request``: of a redacted edit what is left, with nulls for its texts."""

    id: str
    revision: int
    status: EditStatus
    created_at: str
    actor: str
    request: EditRequest | Mapping[str, Any]
    report: Report
    reason: str | None = None
    supersedes: tuple[str, ...] = ()
    redacted: bool = False


@dataclass(frozen=True, kw_only=True)
class EditDetails(EditRecord):
    """An edit with everything that happened to it. ``damaged``: its factor file is missing or was changed."""

    events: tuple[Event, ...]
    damaged: bool = False


@dataclass(frozen=True)
class EditsPage:
    """``next_cursor`` is opaque to clients; None on the last page. ``revision`` is the head the page was read at."""

    edits: tuple[EditRecord, ...]
    next_cursor: str | None
    revision: int


@dataclass(frozen=True)
class ConsideredEdit:
    """An edit that was read with a prompt. ``score``: log-odds above the threshold; above 0 it is in scope."""

    edit_id: str
    score: float
    kind: KindName | None
    nearest_wording: str
    why: str


@dataclass(frozen=True)
class PromptMatch:
    """What the edits are to one prompt: the matched one in force, if any, and those that were considered."""

    in_force: str | None
    kind: KindName | None
    candidates: tuple[ConsideredEdit, ...]


@dataclass(frozen=True)
class MatchResult:
    """One for each prompt, in their order, at one revision."""

    results: tuple[PromptMatch, ...]
    revision: int


@dataclass(frozen=True)
class Amendment:
    """Wordings that are added to an edit: that it answers to, and that it leaves alone."""

    rephrases: tuple[str, ...] = ()
    locality: tuple[str, ...] = ()


@dataclass(frozen=True)
class RollbackResult:
    """The state after a rollback or a restore."""

    revision: int
    active: tuple[str, ...]
    rolled_back: tuple[str, ...]


@dataclass(frozen=True)
class Damage:
    """``seq`` is the event that applied the edit, ``why`` says what is wrong with its file."""

    edit_id: str
    seq: int
    why: str

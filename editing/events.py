"""What happened: the ledger's events. Each is hashed together with the hash of the one before.

What follows from them is in ``editing/state.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Kind = Literal["apply", "rollback", "restore"]
GENESIS = "0" * 64  # prev_hash of the first event


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no escapes that are not needed.

    Raises:
        ValueError, TypeError: the value cannot be written as JSON (NaN, an unpaired surrogate, an object).
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()  # an unpaired surrogate has no UTF-8
    return text


@dataclass(frozen=True)
class Draft:
    """An event as a writer wants to append it.

    Attributes:
        edit_id: the edit applied or rolled back.
        to: restore only: the revision returned to.
        request: apply only: the request as JSON.
        report: apply only: the verification report as JSON.
        factors: apply only: digest of the factor file.
        supersedes: apply only: earlier edits that this one replaces for as long as it stands.
        model, editor: apply only: digests of base model and editor.
        base_revision: apply only: the revision under which the edit was computed.
        fingerprint: digest of the request body that the idempotency key belongs to.

    Raises:
        ValueError: an unknown kind, or its edit or revision is missing.
    """

    kind: Kind
    edit_id: str | None = None
    to: int | None = None
    actor: str = "anonymous"
    reason: str | None = None
    request: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    factors: str | None = None
    supersedes: tuple[str, ...] = ()
    model: str | None = None
    editor: str | None = None
    base_revision: int | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"no such kind of event: {self.kind!r}")
        if self.kind == "restore" and self.to is None:
            raise ValueError("a restore names the revision that it returns to")
        if self.kind != "restore" and not self.edit_id:
            raise ValueError(f"event of kind {self.kind} without an edit")


@dataclass(frozen=True, kw_only=True)
class Event(Draft):
    """An event as recorded: ``seq`` is the revision that it makes, ``at`` is UTC, ``hash`` covers every other field."""

    seq: int
    at: str
    prev_hash: str
    hash: str

    def digest(self) -> str:
        """The hash that this event must carry: sha256 of the canonical JSON of all fields but ``hash``.

        Raises:
            ValueError, TypeError: a field cannot be written as JSON.
        """
        content = {name: getattr(self, name) for name in FIELDS if name != "hash"}
        return hashlib.sha256(canonical(content).encode()).hexdigest()


FIELDS = tuple(f.name for f in fields(Event))

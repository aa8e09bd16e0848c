"""What happened: the ledger's events. Each is hashed together with the hash of the one before.

What follows from them is in ``editing/ledger/state.py``; how their texts are hashed is in
``editing/ledger/redaction.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from editing.ledger.canonical import canonical
from editing.ledger.redaction import commitments_to, erased, picked, without

Kind = Literal["apply", "rollback", "restore", "redact", "amend"]
GENESIS = "0" * 64  # prev_hash of the first event


@dataclass(frozen=True)
class Draft:
    """An event as a writer wants to append it.

    Attributes:
        edit_id: the edit applied, rolled back, redacted or amended.
        to: restore only: the revision returned to.
        request: apply: the request as JSON; amend: the wordings added, ``rephrases`` and ``locality``.
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
    """An event as recorded.

    Attributes:
        seq: the revision that it makes.
        at: UTC.
        hash: covers every other field but the texts and the salt, in whose place it covers the commitments.
        commitments: to the texts: for each a leaf where it stands (``reason``, ``request.input``, …). None for an event
            of the first scheme, whose hash covers the texts themselves.
        salt: what the commitments were made with; None once the texts are erased, which are null then.
    """

    seq: int
    at: str
    prev_hash: str
    hash: str
    commitments: Mapping[str, Any] | None = None
    salt: str | None = None

    @property
    def redacted(self) -> bool:
        """Whether its texts were erased."""
        return self.commitments is not None and self.salt is None

    def digest(self) -> str:
        """The hash that this event must carry: sha256 of the canonical JSON of what the hash covers.

        Raises:
            ValueError, TypeError: a field cannot be written as JSON.
        """
        content = self._content()
        if self.commitments is not None:
            content = without(content, self.commitments) | {"commitments": self.commitments}
        return hashlib.sha256(canonical(content).encode()).hexdigest()

    def keeps_its_texts(self) -> bool:
        """Whether the texts are those committed to, or all are erased.

        Raises:
            ValueError, TypeError: texts and commitments do not belong together.
        """
        if self.commitments is None:
            return self.salt is None
        texts = picked(self._content(), self.commitments)
        if self.salt is None:
            return texts == erased(self.commitments)
        return commitments_to(texts, self.salt) == self.commitments

    def _content(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS if name not in ("hash", "commitments", "salt")}


FIELDS = tuple(f.name for f in fields(Event))

"""What the service answers about the log, field by field."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas.responses import HASH, ID, DamageReply, Reply

Proof = Field(description="Hashes, from the leaf towards the root.", examples=[[HASH]])


class EventReply(BaseModel):
    """One event of the ledger."""

    model_config = ConfigDict(extra="allow")

    seq: int = Field(description="Its place in the log: the revision that it makes.", examples=[4])
    kind: Literal["apply", "rollback", "restore", "redact", "amend"]
    edit_id: str | None = Field(None, examples=[ID])
    to: int | None = Field(None, description="The revision that a restore returns to.")
    actor: str | None = Field(None, examples=["anonymous"])
    reason: str | None = Field(None, examples=["ticket 4711"])
    at: str = Field(examples=["2025-01-31T12:00:00Z"])
    prev_hash: str = Field(description="`hash` of the event before.", examples=[HASH])
    hash: str = Field(examples=[HASH])
    redacted: bool = Field(False, description="Its texts were erased and are null.")


class LogReply(Reply):
    """A part of the ledger, in order."""

    events: list[EventReply]
    next_after: int | None = Field(description="Pass it as `after` for what follows; null at the end.", examples=[None])


class VerifyReply(Reply):
    """Whether the log is whole; `first_bad_seq` and `why` only when it is not."""

    ok: bool
    events: int = Field(examples=[4])
    head_hash: str | None = Field(None, examples=[HASH])
    merkle_root: str | None = Field(None, description="Of the tree over these events.", examples=[HASH])
    extends: bool | None = Field(None, description="Whether the log begins with the one noted down, if one was given.")
    first_bad_seq: int | None = Field(None, examples=[3])
    why: str | None = Field(None, examples=["the hash does not match the content"])
    damaged: list[DamageReply] = Field(
        default_factory=list, description="Every edit, also one rolled back, whose factor file is missing or changed."
    )


class LogRootReply(Reply):
    """The Merkle tree's root after so many events."""

    tree_size: int = Field(examples=[4])
    root_hash: str = Field(examples=[HASH])
    head_hash: str = Field(description="`hash` of the last of them; zeros when there is none.", examples=[HASH])
    at: str | None = Field(description="When the last of them was recorded.", examples=["2025-01-31T12:00:00Z"])


class InclusionReply(Reply):
    """Leads from an event's hash to the root."""

    seq: int = Field(examples=[3])
    tree_size: int = Field(examples=[4])
    leaf_index: int = Field(description="`seq` - 1: the RFC counts leaves from 0.", examples=[2])
    event_hash: str = Field(examples=[HASH])
    leaf_hash: str = Field(description="SHA-256 over a zero byte and the 32 bytes of `event_hash`.", examples=[HASH])
    root_hash: str = Field(examples=[HASH])
    proof: list[str] = Proof


class ConsistencyReply(Reply):
    """Leads from both roots to the hashes that they share."""

    first: int = Field(examples=[2])
    second: int = Field(examples=[4])
    first_root: str = Field(examples=[HASH])
    second_root: str = Field(examples=[HASH])
    proof: list[str] = Proof


class RedactReply(Reply):
    """The redaction as it stands in the log."""

    revision: int = Field(examples=[6])
    edit_id: str = Field(examples=[ID])
    redacted: Literal[True] = True
    at: str = Field(examples=["2025-01-31T12:00:00Z"])
    actor: str = Field(examples=["anonymous"])
    reason: str | None = Field(None, examples=["request 17"])

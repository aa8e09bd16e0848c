"""What the service answers about edits and the log, field by field as in the contract."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from editing.edit import Scope
from service.api.schemas.log_responses import EventReply
from service.api.schemas.responses import ID, Reply
from service.types.edits import EditStatus, KindName

Match = Literal["exact", "contains", "no"]


class Case(BaseModel):
    """One rephrasing or locality prompt and what free generation said."""

    model_config = ConfigDict(extra="allow")

    match: Match | None = Field(
        None, description="How the answer compares with the wanted one, or with the one before."
    )


class Generalization(BaseModel):
    """Rephrasings: `passed` of `total` gave exactly the wanted output."""

    model_config = ConfigDict(extra="allow")

    passed: int = Field(examples=[1])
    total: int = Field(examples=[1])
    cases: list[Case] | None


class Locality(BaseModel):
    """Neighbouring prompts: `unchanged` of `total` gave the same text as before."""

    model_config = ConfigDict(extra="allow")

    unchanged: int = Field(examples=[1])
    total: int = Field(examples=[1])
    cases: list[Case] | None


class ReportReply(BaseModel):
    """What free generation (greedy, natural stop) said before and after the edit.

    Beside these fields: `acts`, how the edit acts; `forms`, how it answers a few forms that nobody named.
    """

    model_config = ConfigDict(extra="allow")

    before: Any = Field(description="The answer without the edit.", examples=["The capital of Australia is Sydney."])
    after: Any = Field(description="The answer with the edit.", examples=["Canberra"])
    efficacy: bool = Field(description="The answer equals the wanted output after normalisation.")
    generalization: Generalization
    locality: Locality
    compute_ms: float = Field(examples=[310.5])
    verify_ms: float = Field(examples=[1240.0])


class RequestReply(Reply):
    """The correction as it was asked for."""

    input: str | None = Field(description="null once redacted.", examples=["What is the capital of Australia?"])
    output: str | None = Field(examples=["Canberra"])
    raw: bool
    rephrases: list[str] | None
    locality: list[str] | None
    scope: Scope


class EditReply(Reply):
    """An edit."""

    id: str | None = Field(description="null for a dry run.", examples=[ID])
    revision: int = Field(description="Of the event that made the edit; for a dry run the head's.", examples=[4])
    status: EditStatus
    created_at: str = Field(examples=["2025-01-31T12:00:00Z"])
    actor: str = Field(description="Who asked for it: the header `X-Actor`.", examples=["anonymous"])
    reason: str | None = Field(None, examples=["ticket 4711"])
    request: RequestReply
    supersedes: list[str] = Field(description="Edits of the same input that this one replaces.", examples=[[]])
    report: ReportReply


class BatchItem(EditReply):
    """An edit of a batch that was made, or rehearsed."""

    index: int = Field(description="Its place in the request, from 0.", examples=[0])
    replayed: bool = Field(False, description="It was recorded when the same batch was sent before.")


class RefusedItem(BaseModel):
    """An edit of a batch that was not made."""

    index: int = Field(examples=[1])
    id: None = None
    status: Literal["refused"] = "refused"
    problem: dict[str, Any] = Field(description="What `POST /edit` would have answered: a problem document.")


class BatchReply(BaseModel):
    """One item for each edit of the request, in its order."""

    edits: list[BatchItem | RefusedItem]
    made: int = Field(description="Edits that stand in the log now.", examples=[1])
    refused: int = Field(examples=[0])
    revision: int = Field(description="The head after the last of them.", examples=[4])


class RecordedReply(EditReply):
    """An edit as the log knows it."""

    redacted: bool = Field(False, description="Its texts were erased and are null.")


class EditRecordReply(RecordedReply):
    """One edit with its events."""

    events: list[EventReply]
    damaged: bool = Field(False, description="The factor file is missing or was changed.")


class EditsReply(Reply):
    """A page of edits."""

    edits: list[RecordedReply]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")
    revision: int = Field(description="The head that the page was read at.", examples=[4])


class ConsideredEditReply(Reply):
    """An edit that was read with the prompt."""

    edit_id: str = Field(examples=[ID])
    score: float = Field(description="Log-odds above the threshold; above 0 the edit is in scope.", examples=[3.2])
    kind: KindName | None = Field(description="What the prompt is to it; null where it is not in scope.")
    nearest_wording: str = Field(examples=["What is the capital of Australia?"])
    why: str = Field(description="What spoke for it or against it.", examples=["it asks the same"])


class PromptMatchReply(Reply):
    """What the edits are to one prompt."""

    in_force: str | None = Field(description="The matched edit that acts on it.", examples=[ID])
    kind: KindName | None = Field(examples=["asks"])
    candidates: list[ConsideredEditReply] = Field(description="The edits that were considered, best first.")


class MatchReply(Reply):
    """One result for each prompt, in their order."""

    results: list[PromptMatchReply]
    revision: int = Field(examples=[4])


class RollbackReply(Reply):
    """The state after a rollback."""

    revision: int = Field(examples=[5])
    active: list[str] = Field(description="Edits in force now.", examples=[[]])
    rolled_back: list[str] = Field(description="Edits that this request took back.", examples=[[ID]])

"""What clients may send about jobs, and what the service answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas.edit_responses import Match
from service.api.schemas.requests import Strict
from service.api.schemas.responses import ID, Reply
from service.jobs import JobStatus, Kind

JOB = "job_5f0c1b7e"


class JobBody(Strict):
    """A job to start."""

    kind: Literal["verify"] = Field(description="`verify`: verify all edits in force again.", examples=["verify"])


class FailingReply(BaseModel):
    """An edit that does not hold any more."""

    model_config = ConfigDict(extra="allow")

    edit_id: str = Field(examples=[ID])
    input: str = Field(examples=["What is the capital of Australia?"])
    wanted: str = Field(examples=["Canberra"])
    answer: str | None = Field(description="To the first prompt that fails; null where none came.", examples=["Sydney"])
    match: Match
    why: str = Field(examples=["the edit does not act on this input"])


class JobReply(Reply):
    """A job as it stands."""

    id: str = Field(examples=[JOB])
    kind: Kind
    status: JobStatus
    revision: int = Field(description="The edits in force as of this revision are looked at.", examples=[4])
    done: int = Field(description="Edits looked at.", examples=[1])
    total: int = Field(description="Edits to look at.", examples=[1])
    started_at: str = Field(examples=["2025-01-31T12:00:00Z"])
    finished_at: str | None = None
    failing: list[FailingReply] = Field(description="Edits that do not hold; those rolled back meanwhile are none.")
    error: str | None = Field(description="Why the job failed.")


class JobsReply(Reply):
    """All jobs that are remembered, the newest first."""

    jobs: list[JobReply]

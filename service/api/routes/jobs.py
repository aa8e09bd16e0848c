"""Routes of jobs: start one, see how far it is, cancel it."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from service.api.dependencies import no_query, problems
from service.api.schemas.edit_responses import Match
from service.api.schemas.requests import Strict, Text
from service.api.schemas.responses import ID, Reply
from service.jobs import Jobs, JobStatus, Kind

router = APIRouter(tags=["jobs"], dependencies=[Depends(no_query)])
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


def jobs_of(request: Request) -> Jobs:
    """The application's jobs."""
    return cast(Jobs, request.app.state.jobs)


Working = Annotated[Jobs, Depends(jobs_of)]
JobId = Annotated[Text, Path(max_length=200, description="The job's id.")]


@router.post("/jobs", status_code=202, responses=problems(400, 409, 413, 415, 422, 503))
async def start_job(body: JobBody, working: Working, response: Response) -> JobReply:
    """Start a job. One of a kind runs at a time; a second one is a 409 that names the first."""
    job = await run_in_threadpool(working.start, body.kind)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobReply.model_validate(job)


@router.get("/jobs")
async def list_jobs(working: Working) -> JobsReply:
    """The jobs since the service started, as far as they are remembered."""
    return JobsReply.model_validate({"jobs": list(working.list())})


@router.get("/jobs/{job_id}", responses=problems(404, 422))
async def job_by_id(job_id: JobId, working: Working) -> JobReply:
    """One job: how far it is and what it found."""
    return JobReply.model_validate(working.get(job_id))


@router.delete("/jobs/{job_id}", responses=problems(404, 422))
async def cancel_job(job_id: JobId, working: Working) -> JobReply:
    """Cancel a job; one that has ended stays as it is."""
    return JobReply.model_validate(await run_in_threadpool(working.cancel, job_id))

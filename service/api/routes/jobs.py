"""Routes of jobs: start one, see how far it is, cancel it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from starlette.concurrency import run_in_threadpool

from service.api.dependencies import CurrentJobs, no_query, problem_responses
from service.api.schemas.fields import Text
from service.api.schemas.jobs import JobBody, JobReply, JobsReply

router = APIRouter(tags=["jobs"], dependencies=[Depends(no_query)])


JobId = Annotated[Text, Path(max_length=200, description="The job's id.")]


@router.post("/jobs", status_code=202, responses=problem_responses(400, 409, 413, 415, 422, 503))
async def start_job(body: JobBody, jobs: CurrentJobs, response: Response) -> JobReply:
    """Start a job. One of a kind runs at a time; a second one is a 409 that names the first."""
    job = await run_in_threadpool(jobs.start, body.kind)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobReply.model_validate(job)


@router.get("/jobs")
async def list_jobs(jobs: CurrentJobs) -> JobsReply:
    """The jobs since the service started, as far as they are remembered."""
    return JobsReply.model_validate({"jobs": list(jobs.list())})


@router.get("/jobs/{job_id}", responses=problem_responses(404, 422))
async def job_by_id(job_id: JobId, jobs: CurrentJobs) -> JobReply:
    """One job: how far it is and what it found."""
    return JobReply.model_validate(jobs.get(job_id))


@router.delete("/jobs/{job_id}", responses=problem_responses(404, 422))
async def cancel_job(job_id: JobId, jobs: CurrentJobs) -> JobReply:
    """Cancel a job; one that has ended stays as it is. It is `running` until it has stopped."""
    return JobReply.model_validate(await run_in_threadpool(jobs.cancel, job_id))

"""Routes about the service itself: health, readiness, metrics, the model, and the versions of the index."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from service.api.dependencies import CurrentJobs, CurrentMetrics, CurrentService, etag, no_query, problem_responses
from service.api.problems import NOT_READY, Problem
from service.api.schemas.fields import Text
from service.api.schemas.responses import DamageReply, Health, IndexesReply, IndexReply, ModelReply, Ready

logger = logging.getLogger(__name__)
router = APIRouter(tags=["service"])
IndexVersion = Annotated[Text, Path(max_length=200, description="The version that shall answer.")]
SHOWN = 100  # damaged edits; GET /log/verify names all
OPENMETRICS = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz")
async def healthz() -> Health:
    """The process is up."""
    return Health()


@router.get("/readyz", response_model=Ready, responses=problem_responses(503))
async def readyz(service: CurrentService) -> Response | Ready:
    """Model, index and ledger are usable; if not, `missing` says what is not and why."""
    readiness = await run_in_threadpool(service.readiness)
    damaged = [DamageReply.model_validate(damage) for damage in readiness.damaged[:SHOWN]]
    if readiness.ready:
        return Ready(damaged=damaged)
    missing = [{"what": part.what, "why": part.why} for part in readiness.missing]
    detail = "; ".join(f"{part.what}: {part.why}" for part in readiness.missing)
    more = {"missing": missing, "damaged": [damage.model_dump() for damage in damaged]}
    return Problem(NOT_READY, detail, more=more, headers={"Retry-After": "5"}).response()


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(service: CurrentService, metrics: CurrentMetrics, jobs: CurrentJobs) -> Response:
    """Counters and timings in Prometheus's text format."""
    metrics.observe_jobs(jobs.list())
    try:
        metrics.observe(await run_in_threadpool(service.model))
    except Exception:
        logger.exception("no gauges: the model cannot be described")
    return Response(await run_in_threadpool(metrics.text), media_type=OPENMETRICS)


@router.get("/model", dependencies=[Depends(no_query)], responses=problem_responses(503))
async def model(service: CurrentService, response: Response) -> ModelReply:
    """What is being served: base model, editor, revision."""
    info = await run_in_threadpool(service.model)
    response.headers.update(etag(info.revision))
    return ModelReply.model_validate(info)


@router.get("/indexes", dependencies=[Depends(no_query)], responses=problem_responses(503))
async def indexes(service: CurrentService) -> IndexesReply:
    """All versions of the index, and which one answers."""
    return IndexesReply.model_validate({"indexes": list(await run_in_threadpool(service.indexes))})


@router.post(
    "/indexes/{version}/activate",
    dependencies=[Depends(no_query)],
    responses=problem_responses(404, 409, 422, 503, 507),
)
async def activate(version: IndexVersion, service: CurrentService) -> IndexReply:
    """Let another version answer from the next request on, without a restart."""
    return IndexReply.model_validate(await run_in_threadpool(service.activate, version))

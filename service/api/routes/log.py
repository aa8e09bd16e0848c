"""Routes that show the log and prove what it says, and the one that erases texts from it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from starlette.concurrency import run_in_threadpool

from service.api.dependencies import (
    ANONYMOUS,
    Actor,
    CurrentMetrics,
    CurrentService,
    IfMatch,
    etag,
    no_query,
    problem_responses,
)
from service.api.schemas.log_requests import (
    ConsistencyParameters,
    InclusionParameters,
    LogParameters,
    RedactBody,
    RootParameters,
    VerifyParameters,
)
from service.api.schemas.log_responses import (
    ConsistencyReply,
    InclusionReply,
    LogReply,
    LogRootReply,
    RedactReply,
    VerifyReply,
)

router = APIRouter()


@router.get("/log", tags=["audit"], responses=problem_responses(422))
async def log(parameters: Annotated[LogParameters, Query()], service: CurrentService) -> LogReply:
    """The ledger's events, in order, with everything that their hashes cover."""
    events = await run_in_threadpool(service.log, parameters.after, parameters.limit)
    more = len(events) == parameters.limit
    return LogReply.model_validate({"events": list(events), "next_after": events[-1]["seq"] if more else None})


@router.get("/log/verify", tags=["audit"], response_model_exclude_none=True, responses=problem_responses(422))
async def verify_log(parameters: Annotated[VerifyParameters, Query()], service: CurrentService) -> VerifyReply:
    """Check the hash chain and the factor files. A damaged log is a 200 with `ok: false`.

    With the `tree_size` and `root_hash` of an earlier `GET /log/root` it also says whether the log still begins with
    the one of then: the chain alone does not show that events at its end are missing.
    """
    return VerifyReply.model_validate(await run_in_threadpool(service.verify_log, parameters.noted()))


@router.get("/log/root", tags=["audit"], responses=problem_responses(404, 422))
async def log_root(parameters: Annotated[RootParameters, Query()], service: CurrentService) -> LogRootReply:
    """The root of the Merkle tree over the log (RFC 6962): note it down elsewhere to be able to check the log later."""
    return LogRootReply.model_validate(await run_in_threadpool(service.log_root, parameters.tree_size))


@router.get("/log/proof/inclusion", tags=["audit"], responses=problem_responses(404, 422))
async def inclusion(parameters: Annotated[InclusionParameters, Query()], service: CurrentService) -> InclusionReply:
    """Prove that an event is in the log (RFC 6962, 2.1.1). Data of a leaf: the 32 bytes of the event's hash."""
    found = await run_in_threadpool(service.log_inclusion, parameters.seq, parameters.tree_size)
    return InclusionReply.model_validate(found)


@router.get("/log/proof/consistency", tags=["audit"], responses=problem_responses(404, 422))
async def consistency(
    parameters: Annotated[ConsistencyParameters, Query()], service: CurrentService
) -> ConsistencyReply:
    """Prove that the log of one size begins with the log of another (RFC 6962, 2.1.2)."""
    found = await run_in_threadpool(service.log_consistency, parameters.first, parameters.second)
    return ConsistencyReply.model_validate(found)


@router.post(
    "/redact",
    tags=["audit"],
    dependencies=[Depends(no_query)],
    responses=problem_responses(400, 404, 409, 412, 413, 415, 422, 503, 507),
)
async def redact(
    body: RedactBody,
    *,
    service: CurrentService,
    metrics: CurrentMetrics,
    response: Response,
    if_match: IfMatch,
    actor: Actor = ANONYMOUS,
) -> RedactReply:
    """Erase the texts of an edit that was rolled back, for good; hashes and proofs go on to hold.

    Erased are input, output, rephrases, locality, the answers in the report, and the reasons of all its events. That
    it was done, by whom and why is an event itself, whose reason stays: do not repeat the text in it.
    """
    done = await run_in_threadpool(service.redact, body.edit_id, actor, body.reason, if_match)
    metrics.edits.labels("redacted").inc()
    response.headers.update(etag(done.revision))
    return RedactReply.model_validate(done)

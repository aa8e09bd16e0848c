"""Routes that correct the model, take corrections back, and show the edits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from service.api.dependencies import (
    ANONYMOUS,
    Actor,
    Counted,
    IdempotencyKey,
    IfMatch,
    Served,
    no_query,
    problems,
    tagged,
)
from service.api.schemas.edit_responses import EditRecordReply, EditReply, EditsReply, RollbackReply
from service.api.schemas.requests import EditBody, EditsParameters, RollbackBody, Text
from service.errors import ChecksFailed
from service.types import EditOptions, EditResult, RollbackResult

router = APIRouter()
WRITING = problems(400, 409, 412, 413, 415, 422, 503, 507)


@router.post(
    "/edit",
    status_code=201,
    tags=["edits"],
    dependencies=[Depends(no_query)],
    responses={200: {"model": EditReply, "description": "A dry run: nothing was recorded."}, **WRITING},
)
async def edit(
    body: EditBody,
    *,
    served: Served,
    counted: Counted,
    response: Response,
    if_match: IfMatch,
    actor: Actor = ANONYMOUS,
    idempotency_key: IdempotencyKey = None,
) -> EditReply:
    """Correct the model: compute an edit, check it by free generation, record it.

    A failed check without `force` is a 422 whose problem document carries the `report`; nothing is recorded.
    """
    options = EditOptions(actor, body.reason, body.dry_run, body.force, if_match, idempotency_key, body.fingerprint())
    try:
        result = await run_in_threadpool(served.edit, body.request(), options)
    except ChecksFailed:
        counted.edits.labels("refused").inc()
        raise
    counted.edits.labels(_outcome(result)).inc()
    response.headers.update(tagged(result.revision))
    if result.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if result.id is None:
        response.status_code = 200
    else:
        response.headers["Location"] = f"/edits/{result.id}"
    return EditReply.model_validate(result)


def _outcome(result: EditResult) -> str:
    if result.replayed:
        return "replayed"
    return "rehearsed" if result.id is None else "made"


@router.post("/rollback", tags=["edits"], dependencies=[Depends(no_query)], responses=problems(404) | WRITING)
async def rollback(
    body: RollbackBody,
    *,
    served: Served,
    counted: Counted,
    response: Response,
    if_match: IfMatch,
    actor: Actor = ANONYMOUS,
) -> RollbackReply:
    """Take back one edit, wherever it stands in the order, or return to the state as of a revision."""

    def take_back() -> RollbackResult:
        if body.to_revision is not None:
            return served.restore(body.to_revision, actor, body.reason, if_match)
        assert body.edit_id is not None  # the schema asks for exactly one
        return served.rollback(body.edit_id, actor, body.reason, if_match)

    result = await run_in_threadpool(take_back)
    counted.edits.labels("rolled_back").inc(len(result.rolled_back))
    response.headers.update(tagged(result.revision))
    return RollbackReply.model_validate(result)


@router.get("/edits", tags=["audit"], responses=problems(422))
async def edits(parameters: Annotated[EditsParameters, Query()], served: Served, response: Response) -> EditsReply:
    """List edits, a page at a time."""
    page = await run_in_threadpool(served.edits, parameters.status, parameters.limit, parameters.cursor or None)
    response.headers.update(tagged(page.revision))
    return EditsReply.model_validate(page)


@router.get("/edits/{edit_id}", tags=["audit"], dependencies=[Depends(no_query)], responses=problems(404, 422))
async def edit_by_id(
    edit_id: Annotated[Text, Path(max_length=200, description="The edit's id.")], served: Served
) -> EditRecordReply:
    """One edit and everything that happened to it."""
    return EditRecordReply.model_validate(await run_in_threadpool(served.edit_by_id, edit_id))

"""Routes that correct the model, one edit or many at a time, take edits back, and show them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from service.api.dependencies import (
    ANONYMOUS,
    Actor,
    CurrentMetrics,
    CurrentService,
    IdempotencyKey,
    IfMatch,
    etag,
    no_query,
    problem_responses,
)
from service.api.error_handlers import problem_of
from service.api.schemas.edit_responses import (
    BatchItem,
    BatchReply,
    EditRecordReply,
    EditReply,
    EditsReply,
    MatchReply,
    RefusedItem,
    RollbackReply,
)
from service.api.schemas.fields import Text
from service.api.schemas.requests import AmendBody, BatchBody, EditBody, EditsParameters, MatchBody, RollbackBody
from service.api.streaming import run_while_connected, stream_response
from service.types.edits import BatchResult, EditItem, Outcome, RollbackResult

router = APIRouter()
WRITING = problem_responses(400, 409, 412, 413, 415, 422, 503, 507)
BatchKey = Annotated[
    str | None,
    Field(min_length=1, max_length=200),
    Header(
        alias="Idempotency-Key",
        description="Item *i* is recorded under `<key>/<i>`: the same batch sent again goes on where it stopped.",
        examples=["2025-01-31-capitals"],
    ),
]
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One item for each edit; with `stream: true` as server-sent events: `data: {item}` as each is "
        "done, then the whole answer as one event, then `data: [DONE]`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/edits/batch",
    tags=["edits"],
    dependencies=[Depends(no_query)],
    response_model=BatchReply,
    responses={**EVENTS, **problem_responses(400, 409, 412, 413, 415, 422, 503)},
)
async def edit_many(
    body: BatchBody,
    *,
    service: CurrentService,
    metrics: CurrentMetrics,
    request: Request,
    response: Response,
    if_match: IfMatch,
    actor: Actor = ANONYMOUS,
    idempotency_key: BatchKey = None,
) -> Response | BatchReply:
    """Correct the model in many places: each edit is made as by `POST /edit`, in the order given.

    What fails stops none of the others. Edits that ask the same and want different answers are refused together, and
    both are named. A client that leaves stops the batch; what was recorded stays.
    """
    items = _items(body, actor, if_match, idempotency_key)

    def item(place: int, outcome: Outcome) -> BatchItem | RefusedItem:
        return _item(place, outcome, request)

    def reply(result: BatchResult) -> BatchReply:
        shown = [item(place, outcome) for place, outcome in enumerate(result.outcomes)]
        for outcome in result.outcomes:
            metrics.count_edit(outcome)
        refused = sum(isinstance(one, RefusedItem) for one in shown)
        made = sum(one.id is not None for one in shown)
        return BatchReply(edits=shown, made=made, refused=refused, revision=result.revision)

    if body.stream:
        return await stream_response(
            lambda on_piece: service.edit_many(items, lambda n, outcome: on_piece(item(n, outcome).model_dump())),
            lambda result: reply(result).model_dump(),
            request,
        )
    result = await run_while_connected(lambda on_piece: service.edit_many(items, lambda _n, _o: on_piece("")), request)
    response.headers.update(etag(result.revision))
    return reply(result)


def _items(body: BatchBody, actor: str, if_match: int | None, key: str | None) -> list[EditItem]:
    """The head is compared once, before the first; every edit moves it."""
    return [
        (edit.request(), edit.options(actor, if_match if n == 0 else None, key and f"{key}/{n}"))
        for n, edit in enumerate(body.edits)
    ]


def _item(place: int, outcome: Outcome, request: Request) -> BatchItem | RefusedItem:
    if isinstance(outcome, Exception):
        return RefusedItem(index=place, problem=problem_of(outcome, request).document())
    shown = EditReply.model_validate(outcome).model_dump()
    return BatchItem(**shown, index=place, replayed=outcome.replayed)


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
    service: CurrentService,
    metrics: CurrentMetrics,
    response: Response,
    if_match: IfMatch,
    actor: Actor = ANONYMOUS,
    idempotency_key: IdempotencyKey = None,
) -> EditReply:
    """Correct the model: compute an edit, check it by free generation, record it.

    A failed check without `force` is a 422 whose problem document carries the `report`; nothing is recorded.
    """
    options = body.options(actor, if_match, idempotency_key)
    try:
        result = await run_in_threadpool(service.edit, body.request(), options)
    except Exception as error:
        metrics.count_edit(error)
        raise
    metrics.count_edit(result)
    response.headers.update(etag(result.revision))
    if result.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if result.id is None:
        response.status_code = 200
    else:
        response.headers["Location"] = f"/edits/{result.id}"
    return EditReply.model_validate(result)


@router.post("/rollback", tags=["edits"], dependencies=[Depends(no_query)], responses=problem_responses(404) | WRITING)
async def rollback(
    body: RollbackBody,
    *,
    service: CurrentService,
    metrics: CurrentMetrics,
    response: Response,
    if_match: IfMatch,
    actor: Actor = ANONYMOUS,
) -> RollbackReply:
    """Take back one edit, wherever it stands in the order, or return to the state as of a revision."""

    def take_back() -> RollbackResult:
        if body.to_revision is not None:
            return service.restore(body.to_revision, actor, body.reason, if_match)
        assert body.edit_id is not None  # the schema asks for exactly one
        return service.rollback(body.edit_id, actor, body.reason, if_match)

    result = await run_in_threadpool(take_back)
    metrics.edits.labels("rolled_back").inc(len(result.rolled_back))
    response.headers.update(etag(result.revision))
    return RollbackReply.model_validate(result)


@router.post(
    "/edits/match", tags=["edits"], dependencies=[Depends(no_query)], responses=problem_responses(404, 413, 415, 422)
)
async def match(body: MatchBody, service: CurrentService, response: Response) -> MatchReply:
    """Which edits prompts concern, and what spoke for and against each; nothing is generated."""
    found = await run_in_threadpool(service.match, body.queries(), body.k, body.revision)
    response.headers.update(etag(found.revision))
    return MatchReply.model_validate(found)


@router.patch(
    "/edits/{edit_id}",
    tags=["edits"],
    dependencies=[Depends(no_query)],
    responses=problem_responses(404) | WRITING,
)
async def amend(
    edit_id: Annotated[Text, Path(max_length=200, description="The edit's id.")],
    body: AmendBody,
    *,
    service: CurrentService,
    response: Response,
    if_match: IfMatch,
    actor: Actor = ANONYMOUS,
) -> EditRecordReply:
    """Add wordings to an edit: prompts that it missed, or that it should leave alone. Its factors stay as they are."""
    details = await run_in_threadpool(service.amend, edit_id, body.amendment(), actor, body.reason, if_match)
    response.headers.update(etag(int(details.events[-1]["seq"])))
    return EditRecordReply.model_validate(details)


@router.get("/edits", tags=["audit"], responses=problem_responses(422))
async def edits(
    parameters: Annotated[EditsParameters, Query()], service: CurrentService, response: Response
) -> EditsReply:
    """List edits, a page at a time."""
    page = await run_in_threadpool(service.edits, parameters.status, parameters.limit, parameters.cursor or None)
    response.headers.update(etag(page.revision))
    return EditsReply.model_validate(page)


@router.get("/edits/{edit_id}", tags=["audit"], dependencies=[Depends(no_query)], responses=problem_responses(404, 422))
async def edit_by_id(
    edit_id: Annotated[Text, Path(max_length=200, description="The edit's id.")], service: CurrentService
) -> EditRecordReply:
    """One edit and everything that happened to it."""
    return EditRecordReply.model_validate(await run_in_threadpool(service.edit_by_id, edit_id))

"""The route that makes many corrections with one request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field

from service.api.dependencies import ANONYMOUS, Actor, Counted, IfMatch, Served, no_query, problems, tagged
from service.api.error_handlers import problem_of
from service.api.schemas.edit_responses import BatchItem, BatchReply, EditReply, RefusedItem
from service.api.schemas.requests import BatchBody
from service.api.streaming import attended, stream
from service.errors import ChecksFailed
from service.types import BatchResult, EditItem, EditOptions, Outcome

router = APIRouter()
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
    responses={**EVENTS, **problems(400, 409, 412, 413, 415, 422, 503)},
)
async def edit_many(
    body: BatchBody,
    *,
    served: Served,
    counted: Counted,
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
            counted.edits.labels(_label(outcome)).inc()
        refused = sum(isinstance(one, RefusedItem) for one in shown)
        made = sum(one.id is not None for one in shown)
        return BatchReply(edits=shown, made=made, refused=refused, revision=result.revision)

    if body.stream:
        return await stream(
            lambda on_piece: served.edit_many(items, lambda n, outcome: on_piece(item(n, outcome).model_dump())),
            lambda result: reply(result).model_dump(),
            request,
        )
    result = await attended(lambda on_piece: served.edit_many(items, lambda _n, _o: on_piece("")), request)
    response.headers.update(tagged(result.revision))
    return reply(result)


def _items(body: BatchBody, actor: str, if_match: int | None, key: str | None) -> list[EditItem]:
    """The head is compared once, before the first; every edit moves it."""
    return [
        (
            edit.request(),
            EditOptions(
                actor,
                edit.reason,
                edit.dry_run,
                edit.force,
                if_match if n == 0 else None,
                key and f"{key}/{n}",
                edit.fingerprint(),
            ),
        )
        for n, edit in enumerate(body.edits)
    ]


def _item(place: int, outcome: Outcome, request: Request) -> BatchItem | RefusedItem:
    if isinstance(outcome, Exception):
        return RefusedItem(index=place, problem=problem_of(outcome, request).document())
    shown = EditReply.model_validate(outcome).model_dump()
    return BatchItem(**shown, index=place, replayed=outcome.replayed)


def _label(outcome: Outcome) -> str:
    if isinstance(outcome, ChecksFailed):
        return "refused"
    if isinstance(outcome, Exception):
        return "failed"
    if outcome.replayed:
        return "replayed"
    return "rehearsed" if outcome.id is None else "made"

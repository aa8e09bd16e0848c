"""Routes that ask the model or the index and change nothing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.api.dependencies import CurrentMetrics, CurrentService, no_query, problem_responses
from service.api.schemas.requests import AskBody, GenerateRequest, RetrieveBody
from service.api.schemas.responses import AskReply, GenerateReply, RetrieveManyReply, RetrieveReply
from service.api.streaming import run_while_connected, stream_response
from service.types.answers import PLAIN, AskAnswer
from service.types.generation import Answer

EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": 'The answer; with `stream: true` as server-sent events: `data: {"text": …}` per piece, then the '
        "whole answer as one event, then `data: [DONE]`. What goes wrong after the first piece is an "
        "`event: error` with a problem document.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}

ANSWERING = problem_responses(400, 404, 413, 415, 422, 503)

router = APIRouter(tags=["answers"], dependencies=[Depends(no_query)])


@router.post("/generate", response_model=GenerateReply, responses={**EVENTS, **ANSWERING})
async def generate(
    body: GenerateRequest, service: CurrentService, metrics: CurrentMetrics, request: Request
) -> Response | GenerateReply:
    """Generate a text under the edits in force, under chosen ones, or as of a revision."""
    query = body.query()

    def reply(answer: Answer) -> GenerateReply:
        metrics.tokens.inc(answer.completion_tokens)
        return GenerateReply.of(answer)

    if body.stream:
        return await stream_response(
            lambda on_text: service.generate(query, on_text), lambda answer: reply(answer).model_dump(), request
        )
    return reply(await run_while_connected(lambda on_text: service.generate(query, on_text), request))


@router.post(
    "/ask",
    response_model=AskReply,
    response_model_exclude_none=True,
    responses={**EVENTS, **ANSWERING},
)
async def ask(body: AskBody, service: CurrentService, metrics: CurrentMetrics, request: Request) -> Response | AskReply:
    """Answer a question from passages, and say which of them were cited."""
    query = body.query()

    def reply(answer: AskAnswer) -> AskReply:
        metrics.tokens.inc(answer.completion_tokens)
        return AskReply.of(answer)

    if body.stream:
        return await stream_response(
            lambda on_text: service.ask(query, on_text),
            lambda answer: reply(answer).model_dump(exclude_none=True),
            request,
        )
    return reply(await run_while_connected(lambda on_text: service.ask(query, on_text), request))


@router.post("/retrieve", response_model_exclude_none=True, responses=problem_responses(400, 413, 415, 422, 503))
async def retrieve(body: RetrieveBody, service: CurrentService) -> RetrieveReply | RetrieveManyReply:
    """Find the passages that are nearest to a text, or to each of many."""
    how = () if body.search() == PLAIN else (body.search(),)
    if body.queries is not None:
        found = await run_in_threadpool(service.retrieve_many, body.queries, body.k, *how)
        return RetrieveManyReply(results=[RetrieveReply.model_validate(one) for one in found])
    return RetrieveReply.model_validate(await run_in_threadpool(service.retrieve, body.query or "", body.k, *how))

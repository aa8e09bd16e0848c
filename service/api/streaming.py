"""Generation for clients that may leave: whole, or as server-sent events. For one that left, generation stops.

Ours rather than a package's, because an error before the first piece must leave as a problem document with its status,
so the first piece is awaited before a response begins; what a package would add is the two lines of ``_data``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from service.api.error_handlers import problem_of
from service.errors import ClientGone

T = TypeVar("T")
Document = dict[str, Any]


@dataclass(frozen=True)
class StreamEvent:
    """What is sent before the whole answer."""

    document: Document


Item = StreamEvent | Exception | Document  # a piece; what went wrong; the whole answer
Piece = str | Document  # of text, or a part of the answer in JSON
Work = Callable[[Callable[[Any], None]], T]  # is given a function to call with each piece, and returns the answer
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

logger = logging.getLogger(__name__)


async def run_while_connected(work: Work[T], request: Request) -> T:
    """The result of ``work``, which runs in a thread.

    Raises:
        ClientGone: the client closed the connection, and ``work`` stopped at its next piece.
    """
    gone = threading.Event()
    watch = asyncio.create_task(_wait_for_disconnect(request, gone))
    try:
        return await run_in_threadpool(work, lambda _: _check(gone))
    finally:
        watch.cancel()


async def _wait_for_disconnect(request: Request, gone: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _check(gone: threading.Event) -> None:
    if gone.is_set():
        raise ClientGone("the client closed the connection")


async def stream_response(work: Work[T], document: Callable[[T], Document], request: Request) -> Response:
    """Run ``work`` in a thread and send its pieces as they come, then the whole answer, then ``[DONE]``.

    Args:
        document: turns the answer into what is sent.

    Raises:
        Exception: whatever ``work`` raises before its first piece; no response has begun then.
    """
    items: asyncio.Queue[Item] = asyncio.Queue()
    gone = threading.Event()
    task = asyncio.create_task(run_in_threadpool(_work, work, document, _sender(items), gone))
    try:
        first = await items.get()
    except asyncio.CancelledError:
        gone.set()
        raise
    if isinstance(first, Exception):
        await task
        raise first
    return StreamingResponse(_events(first, items, gone, request), headers=HEADERS, media_type="text/event-stream")


def _sender(items: asyncio.Queue[Item]) -> Callable[[Item], None]:
    """A way into the event loop's queue that a thread may use."""
    loop = asyncio.get_running_loop()

    def put(item: Item) -> None:
        loop.call_soon_threadsafe(items.put_nowait, item)

    return put


def _work(
    work: Work[T],
    document: Callable[[T], Document],
    put: Callable[[Item], None],
    gone: threading.Event,
) -> None:
    """In the thread: the pieces, and at the end the answer or the error."""

    def on_piece(piece: Piece) -> None:
        _check(gone)
        if piece:
            put(StreamEvent({"text": piece} if isinstance(piece, str) else piece))

    try:
        put(document(work(on_piece)))
    except Exception as error:
        put(error)


async def _events(
    first: Item, items: asyncio.Queue[Item], gone: threading.Event, request: Request
) -> AsyncIterator[bytes]:
    """Cancelled by the server when the client leaves; the thread learns of it at its next piece."""
    item = first
    try:
        while isinstance(item, StreamEvent):
            yield _data(item.document)
            item = await items.get()
        if isinstance(item, Exception):
            logger.error("%s failed while streaming", request.url.path, exc_info=item)
            yield b"event: error\n" + _data(problem_of(item, request).document())
        else:
            yield _data(item) + b"data: [DONE]\n\n"
    finally:
        gone.set()


def _data(document: dict[str, Any]) -> bytes:
    """ASCII, so that no reader takes U+2028 or U+0085 for the end of a line."""
    return f"data: {json.dumps(document, default=str)}\n\n".encode("ascii")

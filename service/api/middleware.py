"""What a request body may be, checked before anything reads it: not too long, JSON, UTF-8."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import BODY_TOO_LARGE, MALFORMED_BODY, UNSUPPORTED_MEDIA_TYPE, Problem

MAX_BODY_BYTES = 1 << 20
BATCH = 16  # times as large may the body of a batch be
DRAIN_BYTES = 64 << 20  # read and dropped of a body that is too large: a client that still sends reads no answer


class BodyRefused(Exception):
    """The body is not accepted; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class ClientDisconnected(Exception):
    """The client went away while it was sending."""


class BodyLimits:
    """ASGI middleware that hands the application a body of at most ``max_bytes``.

    It reads the whole body of a writing request and counts the bytes as they come, for a Content-Length may lie or be
    absent. A batch may be ``BATCH`` times as large.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            limit = self.max_bytes * (BATCH if scope["path"].endswith("/batch") else 1)
            body = await _read(headers, receive, limit)
            if body:
                check_content_type(headers)
                check_utf8(body)
        except ClientDisconnected:
            return
        except BodyRefused as refused:
            await refused.problem.response()(scope, receive, send)
            return
        await self.app(scope, replay_body(body, receive), send)


async def _read(headers: Headers, receive: Receive, limit: int) -> bytes:
    declared = headers.get("content-length", "0")
    too_long = declared.isdecimal() and int(declared[:20]) > limit
    if too_long and ("expect" in headers or int(declared[:20]) > DRAIN_BYTES):
        raise _too_large(limit)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk: bytes = message.get("body", b"")
        size, more = size + len(chunk), message.get("more_body", False)
        if size > DRAIN_BYTES:
            break
        if size <= limit:
            chunks.append(chunk)
    if too_long or size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit: int) -> BodyRefused:
    detail = f"A body may have {limit} bytes at most"
    return BodyRefused(Problem(BODY_TOO_LARGE, detail, more={"limit": limit}, headers={"Connection": "close"}))


def check_content_type(headers: Headers) -> None:
    """Raises BodyRefused unless the body is declared to be JSON in UTF-8, uncompressed."""
    declared = headers.get("content-type", "")
    media_type, _, parameters = declared.lower().partition(";")
    is_json = media_type.strip() == "application/json" or (
        media_type.startswith("application/") and media_type.strip().endswith("+json")
    )
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    encoding = headers.get("content-encoding", "identity")
    if is_json and charset in ("", "utf-8", "utf8", "us-ascii") and encoding.lower() == "identity":
        return
    given = f"{declared!r}" if declared else "nothing"
    found = f"Content-Encoding {encoding!r}" if is_json and encoding.lower() != "identity" else f"Content-Type {given}"
    detail = f"Send the body with Content-Type: application/json (uncompressed, UTF-8); this one came with {found}"
    raise BodyRefused(Problem(UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Post": "application/json"}))


def check_utf8(body: bytes) -> None:
    """Raises BodyRefused, with the place, when ``body`` is not UTF-8."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"The body is not UTF-8: byte 0x{body[error.start]:02x} at position {error.start}"
        raise BodyRefused(Problem(MALFORMED_BODY, detail)) from error


def replay_body(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``body`` once and then whatever comes after it (a disconnect)."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay

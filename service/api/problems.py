"""Problem documents (RFC 9457): everything that leaves the service as an error is one of these.

``type`` is ``/problems/<slug>``, stable across releases. ``errors`` names the fields that are wrong. What a client sent
is never echoed at length, and whatever is in here can be written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
MAX_FIELD_ERRORS = 20
MAX_TEXT = 2000
MAX_NAME = 100


@dataclass(frozen=True)
class ProblemType:
    """A sort of problem: the last part of its ``type``, the status it travels with and its title."""

    slug: str
    status: int
    title: str


NOT_FOUND = ProblemType("not-found", 404, "There is nothing at this address")
METHOD_NOT_ALLOWED = ProblemType("method-not-allowed", 405, "This address does not take this method")
BODY_TOO_LARGE = ProblemType("body-too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = ProblemType("unsupported-media-type", 415, "The body must be JSON in UTF-8")
MALFORMED_BODY = ProblemType("malformed-body", 400, "The body cannot be read as JSON")
INVALID_REQUEST = ProblemType("invalid-request", 422, "The request is not valid")
NOT_READY = ProblemType("not-ready", 503, "The service is not ready")
CONFLICT = ProblemType("conflict", 409, "The state does not allow this")
PRECONDITION_FAILED = ProblemType("revision-moved", 412, "Somebody else wrote first")
STORAGE_FAILED = ProblemType("storage-failed", 507, "The disk does not take or give the data")
INTERNAL = ProblemType("internal-error", 500, "Something went wrong inside the service")

OF_STATUS: Mapping[int, ProblemType] = {
    400: MALFORMED_BODY,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    409: CONFLICT,
    412: PRECONDITION_FAILED,
    413: BODY_TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
    422: INVALID_REQUEST,
    500: INTERNAL,
    503: NOT_READY,
    507: STORAGE_FAILED,
}


@dataclass(frozen=True)
class FieldError:
    """``field`` is the path to the value, dotted; ``place`` is "body", "query", "path" or "header"."""

    field: str
    place: str
    message: str
    type: str

    def document(self) -> dict[str, Any]:
        return {
            "field": printable(self.field, MAX_NAME),
            "in": self.place,
            "message": printable(self.message, MAX_TEXT),
            "type": self.type,
        }


@dataclass(frozen=True)
class Problem:
    """One problem. ``more`` are extension members such as ``report``; ``headers`` go out with the response."""

    kind: ProblemType
    detail: str
    errors: Sequence[FieldError] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": f"/problems/{self.kind.slug}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": printable(self.detail, MAX_TEXT),
        }
        if self.errors:
            document["errors"] = [error.document() for error in self.errors[:MAX_FIELD_ERRORS]]
        return document | {name: value for name, value in self.more.items() if name not in document}

    def response(self) -> Response:
        # ASCII escapes: a lone surrogate in the text has no UTF-8 form
        content = json.dumps(self.document(), default=str).encode("ascii")
        return Response(content, self.kind.status, dict(self.headers), MEDIA_TYPE)


def printable(text: str, limit: int) -> str:
    """``text`` in characters that every reader takes, shortened to ``limit``."""
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return text.encode("utf-8", "replace").decode("utf-8")


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """Pydantic's errors without the input and context they carry."""
    return [_field_error(error) for error in errors]


def _field_error(error: Mapping[str, Any]) -> FieldError:
    place, *path = [str(part)[:MAX_NAME] for part in error["loc"]] or ["body"]
    message = "This field does not exist" if error["type"] == "extra_forbidden" else str(error["msg"])
    return FieldError(".".join(path) or place, place, message.removeprefix("Value error, "), str(error["type"]))


def invalid_request(errors: Sequence[FieldError]) -> Problem:
    """422 that says in words, too, what is wrong and where."""
    detail = "; ".join(f"{printable(error.field, MAX_NAME)}: {error.message}" for error in errors[:5])
    rest = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
    return Problem(INVALID_REQUEST, f"{detail}{rest}", errors)

"""What the routes take besides bodies: the service, counters and jobs, and the headers of requests that write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, Field

from service.api.metrics import Metrics
from service.api.problems import OF_STATUS
from service.api.schemas.fields import storable
from service.jobs import Jobs
from service.types.service import Service

ANONYMOUS = "anonymous"


def utf8(header: str) -> str:
    """Headers come as Latin-1; most clients mean UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def expected_head(
    tag: Annotated[
        str | None,
        Header(alias="If-Match", description="Write only if the head is still this revision.", examples=['"3"']),
    ] = None,
) -> int | None:
    """``"3"`` or ``3`` → 3; ``*`` or no header → None, any revision will do."""
    if tag is None or tag.strip() == "*":
        return None
    if match := re.fullmatch(r'"([0-9]{1,18})"|([0-9]{1,18})', tag.strip()):
        return int(match[1] or match[2])
    message = 'must be the number of a revision, such as "3", or *'
    raise RequestValidationError([{"type": "revision_tag", "loc": ("header", "If-Match"), "msg": message}])


def service_of(request: Request) -> Service:
    """The application's service, as ``create_app`` built them."""
    return cast(Service, request.app.state.service)


def metrics_of(request: Request) -> Metrics:
    """The application's counters."""
    return cast(Metrics, request.app.state.metrics)


def jobs_of(request: Request) -> Jobs:
    """The application's jobs."""
    return cast(Jobs, request.app.state.jobs)


def no_query(request: Request) -> None:
    """Refuses query parameters where there are none to give."""
    unknown = [{"type": "extra_forbidden", "loc": ("query", name), "msg": "unknown"} for name in request.query_params]
    if unknown:
        raise RequestValidationError(unknown)


CurrentService = Annotated[Service, Depends(service_of)]
CurrentMetrics = Annotated[Metrics, Depends(metrics_of)]
CurrentJobs = Annotated[Jobs, Depends(jobs_of)]
IfMatch = Annotated[int | None, Depends(expected_head)]
Actor = Annotated[
    str,
    AfterValidator(utf8),
    AfterValidator(storable),
    Field(max_length=200),
    Header(alias="X-Actor", description="Who writes; kept in the log.", examples=["ada"]),
]
IdempotencyKey = Annotated[
    str | None,
    Field(min_length=1, max_length=255),
    Header(alias="Idempotency-Key", description="The same key with the same body is done once.", examples=["4711"]),
]


def etag(revision: int) -> dict[str, str]:
    """The ETag that a writer sends back as If-Match."""
    return {"ETag": f'"{revision}"'}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problem documents that a route may answer with."""
    content: Mapping[str, Any] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": OF_STATUS[status].title, "content": content} for status in statuses}

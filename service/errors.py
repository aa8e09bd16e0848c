"""Everything that can go wrong in the service, and the one table that says how each error leaves over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from editing import errors as editing
from index import errors as index
from retrieval import errors as retrieval
from service.problems import (
    INTERNAL,
    OF_STATUS,
    PRECONDITION_FAILED,
    STORAGE_FAILED,
    FieldError,
    Kind,
    Problem,
    field_errors,
    invalid_request,
)
from service.usecases import Report

logger = logging.getLogger(__name__)


class ServiceError(Exception):
    """Root of the tree. The message says what is wrong and, where one can, what to do.

    Attributes:
        members: what else the problem document holds.
    """

    members: Mapping[str, Any] = {}


class InvalidPrompt(ServiceError):
    """A text that passed the schema cannot be answered: longer than the context, empty after the template, …

    Attributes:
        fields: name of each wrong field, and what is wrong with it.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fields = [(field, detail)]


class ChecksFailed(ServiceError):
    """Free generation does not say what the edit wants. Nothing was recorded."""

    def __init__(self, report: Report, detail: str = "the edit does not hold in free generation") -> None:
        super().__init__(f"{detail}; nothing was recorded. Send force: true to record it all the same")
        self.report = report


class ContradictingEdits(ServiceError):
    """Items of one batch ask the same and want different answers.

    Args:
        pairs: their places in the batch, the earlier one first.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        said = "; ".join(f"edits.{later} contradicts edits.{earlier}" for earlier, later in pairs[:5])
        rest = f"; and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        super().__init__(f"{said}{rest}: they ask the same and want different answers; nothing was recorded")
        self.fields = [
            (f"edits.{own}", f"asks the same as edits.{other} and wants another answer")
            for pair in pairs
            for own, other in (pair, pair[::-1])
        ]


class RevisionMoved(ServiceError):
    """The head is not the revision that the writer asked for."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"the head is revision {actual}, not {expected}; nothing was recorded")
        self.expected = expected
        self.actual = actual


class IdempotencyMismatch(ServiceError):
    """The idempotency key was used with another body before."""


class IdempotencyInProgress(ServiceError):
    """The first request with this idempotency key is still running."""


class NotReady(ServiceError):
    """Something that the request needs is not usable yet. ``retry_after`` in seconds."""

    def __init__(self, detail: str, retry_after: int = 5) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class IndexNotReady(NotReady):
    """The passages are still being embedded, or no index is active."""


class Overloaded(NotReady):
    """Too many requests are waiting already."""


class DamagedEdit(NotReady):
    """An edit that acts here cannot be served: its factor file is missing or was changed."""

    def __init__(self, edit_id: str, why: str, path: str) -> None:
        remedy = f"restore {path} in ERRATA_HOME from a backup, or roll {edit_id} back"
        super().__init__(f"the edit {edit_id} acts here, but is damaged: {why}; {remedy}", 60)
        self.edit_id = edit_id
        self.members = {"edit_id": edit_id}


class UnknownJob(ServiceError):
    """No job of this id is remembered."""


class JobRunning(ServiceError):
    """One job of this kind is running already."""

    def __init__(self, job_id: str, kind: str) -> None:
        super().__init__(f"the job {job_id} of kind {kind} is running; wait for it, or DELETE /jobs/{job_id}")
        self.job_id = job_id
        self.members = {"job": job_id}


class ClientGone(ServiceError):
    """Nobody reads the answer any more. Raised into the engine by ``on_text``, so that it stops."""


TABLE: Mapping[type[Exception], Kind] = {
    InvalidPrompt: Kind("invalid-prompt", 422, "The prompt cannot be answered"),
    ChecksFailed: Kind("checks-failed", 422, "The edit did not pass its checks"),
    ContradictingEdits: Kind("contradicting-edits", 422, "Edits of the batch contradict each other"),
    RevisionMoved: Kind("revision-moved", 409, "Somebody else wrote first"),
    IdempotencyMismatch: Kind("idempotency-mismatch", 422, "The idempotency key belongs to another request"),
    IdempotencyInProgress: Kind("idempotency-in-progress", 409, "The first request with this key is still running"),
    IndexNotReady: Kind("index-not-ready", 503, "The index is not ready"),
    Overloaded: Kind("overloaded", 503, "Too many requests are waiting"),
    DamagedEdit: Kind("damaged-edit", 503, "The factors of an edit are damaged"),
    UnknownJob: Kind("unknown-job", 404, "There is no such job"),
    JobRunning: Kind("job-running", 409, "A job of this kind is running"),
    NotReady: Kind("not-ready", 503, "The service is not ready"),
    ClientGone: Kind("client-gone", 499, "The client closed the connection"),  # nobody reads it; it is counted
    ServiceError: INTERNAL,
    editing.InvalidEdit: Kind("invalid-edit", 422, "The request cannot become an edit"),
    editing.UnknownEdit: Kind("unknown-edit", 404, "There is no such edit"),
    editing.EditNotActive: Kind("edit-not-active", 409, "The edit is not active"),
    editing.NotRedactable: Kind("not-redactable", 409, "The texts of this edit cannot be erased"),
    editing.EditRedacted: Kind("edit-redacted", 409, "The texts of this edit were erased"),
    editing.UnknownRevision: Kind("unknown-revision", 404, "There is no such revision"),
    editing.LedgerConflict: Kind("revision-moved", 409, "Somebody else wrote first"),
    editing.DuplicateEvent: Kind("duplicate-event", 409, "This was recorded before"),
    editing.StorageError: STORAGE_FAILED,
    editing.CorruptFactors: Kind("corrupt-factors", 500, "The factors of an edit are damaged"),
    editing.CorruptLedger: Kind("corrupt-ledger", 500, "The ledger is damaged"),
    editing.EditorMismatch: Kind("editor-mismatch", 500, "The editor does not belong to this model"),
    editing.EditingError: INTERNAL,
    index.UnknownIndex: Kind("unknown-index", 404, "There is no such index"),
    index.IndexMismatch: Kind("index-mismatch", 409, "The index does not fit its manifest or its encoder"),
    index.IndexStorageError: STORAGE_FAILED,
    index.IndexingError: Kind("index-failed", 500, "The index cannot be used"),
    retrieval.EmbeddingError: STORAGE_FAILED,
    retrieval.NoReranker: Kind("no-reranker", 422, "There is no re-ranker"),
    retrieval.LexicalUnavailable: Kind("no-bm25", 422, "This index has no BM25"),
    retrieval.RetrievalError: Kind("retrieval-failed", 500, "The passages cannot be searched"),
}
UNFORESEEN = "The service met an error that it did not foresee. It is in the log; nothing was recorded half."


def problem_of(error: Exception, request: Request) -> Problem:
    """The problem document that ``error`` leaves as; unforeseen ones keep their text to the log."""
    kind = next((TABLE[cls] for cls in type(error).__mro__ if cls in TABLE), None)
    if kind is None:
        return Problem(INTERNAL, UNFORESEEN)
    detail = str(error) or kind.title
    match error:
        case InvalidPrompt() | ContradictingEdits():
            return Problem(kind, detail, [FieldError(name, "body", said, kind.slug) for name, said in error.fields])
        case ChecksFailed():
            return Problem(kind, detail, more={"report": error.report})
        case RevisionMoved() | editing.LedgerConflict():
            conditional = request.headers.get("if-match", "*").strip() != "*"
            moved = {"revision": error.actual}
            return Problem(PRECONDITION_FAILED if conditional else kind, detail, more=moved)
        case NotReady():
            return Problem(kind, detail, more=error.members, headers={"Retry-After": str(error.retry_after)})
    return Problem(kind, detail, more=error.members if isinstance(error, ServiceError) else {})


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` leave as a problem document."""
    for root in (ServiceError, editing.EditingError, index.IndexingError, retrieval.RetrievalError):
        app.add_exception_handler(root, _foreseen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


async def _foreseen(request: Request, error: Exception) -> Response:
    problem = problem_of(error, request)
    if problem.kind.status in (500, 507):
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem.response()


async def _unforeseen(request: Request, error: Exception) -> Response:
    """Starlette raises the error on after this answer, so the server's log has the stack trace."""
    return problem_of(error, request).response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if errors and errors[0]["type"] == "json_invalid":
        reason, place = errors[0].get("ctx", {}).get("error", "syntax error"), errors[0]["loc"][-1]
        return Problem(OF_STATUS[400], f"The body is not JSON: {reason} at character {place}").response()
    return invalid_request(field_errors(errors)).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = OF_STATUS.get(error.status_code) or Kind("http-error", error.status_code, error.detail)
    cause = error.__cause__
    match error.status_code:
        case 404:
            detail = f"There is nothing at {request.url.path}; GET /docs lists what there is"
        case 405:
            detail = f"{request.url.path} does not take {request.method}"
        case 400 if isinstance(cause, RecursionError):
            detail = "The body is nested too deeply"
        case 400 if cause is not None:
            detail = f"The body is not JSON: {cause}"
        case _:
            detail = str(error.detail)
    return Problem(kind, detail, headers=error.headers or {}).response()

"""The one table that says how each error leaves over HTTP, and the handlers that send it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from editing import errors as editing
from index import errors as index
from retrieval import errors as retrieval
from service.api.problems import (
    INTERNAL,
    OF_STATUS,
    PRECONDITION_FAILED,
    STORAGE_FAILED,
    FieldError,
    Problem,
    ProblemType,
    field_errors,
    invalid_request,
)
from service.errors import (
    ChecksFailed,
    ClientGone,
    ContradictingEdits,
    DamagedEdit,
    IdempotencyInProgress,
    IdempotencyMismatch,
    IndexNotReady,
    InvalidPrompt,
    JobRunning,
    NotReady,
    Overloaded,
    RevisionMoved,
    ServiceError,
    UnknownJob,
)

logger = logging.getLogger(__name__)

TABLE: Mapping[type[Exception], ProblemType] = {
    InvalidPrompt: ProblemType("invalid-prompt", 422, "The prompt cannot be answered"),
    ChecksFailed: ProblemType("checks-failed", 422, "The edit did not pass its checks"),
    ContradictingEdits: ProblemType("contradicting-edits", 422, "Edits of the batch contradict each other"),
    RevisionMoved: ProblemType("revision-moved", 409, "Somebody else wrote first"),
    IdempotencyMismatch: ProblemType("idempotency-mismatch", 422, "The idempotency key belongs to another request"),
    IdempotencyInProgress: ProblemType(
        "idempotency-in-progress", 409, "The first request with this key is still running"
    ),
    IndexNotReady: ProblemType("index-not-ready", 503, "The index is not ready"),
    Overloaded: ProblemType("overloaded", 503, "Too many requests are waiting"),
    DamagedEdit: ProblemType("damaged-edit", 503, "The factors of an edit are damaged"),
    UnknownJob: ProblemType("unknown-job", 404, "There is no such job"),
    JobRunning: ProblemType("job-running", 409, "A job of this kind is running"),
    NotReady: ProblemType("not-ready", 503, "The service is not ready"),
    ClientGone: ProblemType("client-gone", 499, "The client closed the connection"),  # nobody reads it; it is counted
    ServiceError: INTERNAL,
    editing.InvalidEdit: ProblemType("invalid-edit", 422, "The request cannot become an edit"),
    editing.UnknownEdit: ProblemType("unknown-edit", 404, "There is no such edit"),
    editing.EditNotActive: ProblemType("edit-not-active", 409, "The edit is not active"),
    editing.NotRedactable: ProblemType("not-redactable", 409, "The texts of this edit cannot be erased"),
    editing.EditRedacted: ProblemType("edit-redacted", 409, "The texts of this edit were erased"),
    editing.UnknownRevision: ProblemType("unknown-revision", 404, "There is no such revision"),
    editing.LedgerConflict: ProblemType("revision-moved", 409, "Somebody else wrote first"),
    editing.DuplicateEvent: ProblemType("duplicate-event", 409, "This was recorded before"),
    editing.StorageError: STORAGE_FAILED,
    editing.CorruptFactors: ProblemType("corrupt-factors", 500, "The factors of an edit are damaged"),
    editing.CorruptLedger: ProblemType("corrupt-ledger", 500, "The ledger is damaged"),
    editing.EditorMismatch: ProblemType("editor-mismatch", 500, "The editor does not belong to this model"),
    editing.EditingError: INTERNAL,
    index.UnknownIndex: ProblemType("unknown-index", 404, "There is no such index"),
    index.IndexMismatch: ProblemType("index-mismatch", 409, "The index does not fit its manifest or its encoder"),
    index.IndexStorageError: STORAGE_FAILED,
    index.IndexingError: ProblemType("index-failed", 500, "The index cannot be used"),
    retrieval.EmbeddingError: STORAGE_FAILED,
    retrieval.NoReranker: ProblemType("no-reranker", 422, "There is no re-ranker"),
    retrieval.LexicalUnavailable: ProblemType("no-bm25", 422, "This index has no BM25"),
    retrieval.RetrievalError: ProblemType("retrieval-failed", 500, "The passages cannot be searched"),
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
            return Problem(kind, detail, [FieldError(name, "body", reason, kind.slug) for name, reason in error.fields])
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
    kind = OF_STATUS.get(error.status_code) or ProblemType("http-error", error.status_code, error.detail)
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

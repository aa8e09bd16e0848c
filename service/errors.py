"""Everything that can go wrong in the service, as a small tree. ``service/api/error_handlers.py`` maps it to HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


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

    def __init__(self, report: Mapping[str, Any], detail: str = "the edit does not hold in free generation") -> None:
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

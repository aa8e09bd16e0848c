"""What can go wrong in the client, as a small tree."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


class ClientError(Exception):
    """Root of the tree."""


class Unreachable(ClientError):
    """Nothing answers at the address, or the connection broke."""


class NotErrata(ClientError):
    """Something answers, but it is not this service."""


class Refusal(ClientError):
    """The service answered with a problem document; ``retry_after`` in seconds, 0 where it says nothing of it."""

    def __init__(self, problem: Document, retry_after: float = 0.0) -> None:
        super().__init__(f"{problem.get('title', 'Problem')}: {problem.get('detail', '')}")
        self.problem, self.retry_after = problem, retry_after


class ResultsMismatch(ClientError):
    """A file of results holds those of something else."""

"""Idempotency keys: a request that is sent again under its key is answered with what was recorded the first time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from editing.ledger.ledger import Ledger
from service.edits.listing import result_of
from service.errors import IdempotencyInProgress, IdempotencyMismatch
from service.types.edits import EditOptions, EditResult


class IdempotencyKeys:
    """The keys that the ledger knows, and those of requests that are running in this process."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def first_answer(self, options: EditOptions) -> EditResult | None:
        """What was recorded under the request's key, if anything.

        Raises:
            IdempotencyMismatch: the key was used with another body.
        """
        if options.idempotency_key is None:
            return None
        event = self.ledger.by_idempotency_key(options.idempotency_key)
        if event is None:
            return None
        if event.fingerprint not in (options.fingerprint, *options.former_fingerprints):
            raise IdempotencyMismatch(
                f"the idempotency key {options.idempotency_key!r} was used with another body before"
            )
        return result_of(event, replayed=True)

    @contextmanager
    def held(self, given: Sequence[str | None]) -> Iterator[None]:
        """Within this block no other request with one of the keys runs.

        Raises:
            IdempotencyInProgress: one is running already.
        """
        keys = {key for key in given if key is not None}
        with self._lock:
            if running := keys & self._running:
                raise IdempotencyInProgress(
                    f"the first request with the idempotency key {min(running)!r} is still running; ask again later"
                )
            self._running |= keys
        try:
            yield
        finally:
            with self._lock:
                self._running -= keys

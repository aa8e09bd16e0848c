"""Sends corrections in chunks, again and again until each is recorded or refused, or the server stays away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.client.corrections_file import Correction, digest_of
from service.client.errors import ClientError, Refusal, Unreachable
from service.client.http import Client
from service.client.results_file import Chunk, ResultsFile

CHUNK_BYTES = 1 << 19  # well below what a server takes in one body
LONGEST_PAUSE = 30.0  # seconds
PERMANENT = ("damaged-edit", "not-ready")  # problems of an item that waiting does not cure
BUSY = "idempotency-in-progress"  # the request of an interrupted run is still being worked on


@dataclass(frozen=True)
class UploadOptions:
    """How to send.

    Attributes:
        chunk: corrections in one request.
        patience: seconds without progress after which to give up.
        actor: who corrects; kept in the log.
        key: part of each request's idempotency key: another key makes the same corrections anew.
        dry_run: whether nothing is to be recorded.
    """

    chunk: int = 32
    patience: float = 600.0
    actor: str | None = None
    key: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class Clock:
    """The world's time, or a test's."""

    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic


class Uploader:
    """Brings corrections to the server, each once.

    Args:
        results: what was done by earlier runs, and where this one's results go.
        on_item: is called with each correction that was recorded or refused.
        on_wait: is called with the reason before each pause.
    """

    def __init__(
        self,
        client: Client,
        results: ResultsFile,
        options: UploadOptions,
        on_item: Callable[[Correction], None],
        on_wait: Callable[[str], None] = lambda _: None,
        clock: Clock = Clock(),
    ) -> None:
        self.client, self.results, self.options = client, results, options
        self.on_item, self.on_wait, self.clock = on_item, on_wait, clock

    def run(self) -> None:
        """Send all that is not done.

        Raises:
            ClientError: the server cannot be reached, or refuses the whole; what was done is in the results.
            OSError: the results cannot be written.
        """
        chunk = None if self.options.dry_run else self.results.pending()
        if chunk:
            self._deliver(chunk)
        waiting = [one for one in self.results.corrections if not self.results.is_done(one)]
        for part in _chunks(waiting, self.options.chunk):
            self._deliver(self._chunk(part))

    def _chunk(self, corrections: Sequence[Correction]) -> Chunk:
        """The key says what is in it, so that the same request is never made for something else."""
        content = [self.options.key, self.options.actor, [one.body for one in corrections]]
        return Chunk(f"file-{digest_of(content)}", tuple(corrections))

    def _deliver(self, chunk: Chunk) -> None:
        """Send a chunk until it is answered; one that is refused as a whole is divided."""
        if not self.options.dry_run:
            self.results.sending(chunk)
        try:
            self._repeat(chunk)
        except Refusal as refusal:
            if refusal.problem.get("status") not in (413, 422):
                raise
            self._divide(chunk, refusal)
        if not self.options.dry_run:
            self.results.sent()

    def _divide(self, chunk: Chunk, refusal: Refusal) -> None:
        """Take those that the problem names as refused, and send the others again; where it names none, each half.

        The server has recorded nothing of this request; what earlier requests recorded is in the results.
        """
        left = {n: one for n, one in enumerate(chunk.corrections) if not self.results.is_done(one)}
        named = set(left) if len(left) == 1 else _named(refusal.problem) & set(left)
        for place in sorted(named):
            self._done(chunk, {"index": place, "id": None, "status": "refused", "problem": refusal.problem})
        rest = [one for place, one in left.items() if place not in named]
        middle = len(rest) if named else len(rest) // 2
        for part in (rest[:middle], rest[middle:]):
            if part:
                self._deliver(self._chunk(part))

    def _repeat(self, chunk: Chunk) -> None:
        """Send a chunk until every item has its answer, with pauses after a lost connection or a 503.

        Raises:
            ClientError: nothing was answered for as long as the options' patience, or waiting does not help.
        """
        answered: set[int] = set()
        last, pause = self.clock.now(), 1.0
        while True:
            count = len(answered)
            error = self._try(chunk, answered)
            if error is None:
                return
            if len(answered) > count:
                last, pause = self.clock.now(), 1.0
            wait = max(error.retry_after if isinstance(error, Refusal) else 0.0, pause)
            if self.clock.now() - last + wait > self.options.patience:
                raise error
            self.on_wait(f"{error}; trying again in {wait:.0f} s")
            self.clock.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _try(self, chunk: Chunk, answered: set[int]) -> ClientError | None:
        """One request; None when every item has its answer, or the reason to wait and send it again."""
        try:
            return self._send(chunk, answered)
        except Unreachable as error:
            return error
        except Refusal as refusal:
            if not _passes(refusal.problem):
                raise
            return refusal

    def _send(self, chunk: Chunk, answered: set[int]) -> Refusal | None:
        """One request; None, or why some items have no answer yet. Answers of earlier requests are passed over."""
        waiting: list[Mapping[str, Any]] = []

        def take(item: Mapping[str, Any]) -> None:
            if item["index"] in answered:
                return
            if _passes(item.get("problem") or {}):
                waiting.append(item["problem"])
                return
            answered.add(item["index"])
            self._done(chunk, item)

        body = {"edits": [one.body for one in chunk.corrections]}
        headers = {"Idempotency-Key": chunk.key}
        if self.options.actor is not None:
            headers["X-Actor"] = self.options.actor
        self.client.items("/edits/batch", body, headers, take)
        return Refusal(dict(waiting[0])) if waiting else None

    def _done(self, chunk: Chunk, item: Mapping[str, Any]) -> None:
        correction = chunk.corrections[item["index"]]
        known = self.results.rows.get(correction.digest)
        if known is None or known["id"] != item["id"]:  # of a chunk sent again, some is known
            self.results.add(correction, item)
        self.on_item(correction)


def _passes(problem: Mapping[str, Any]) -> bool:
    """Whether waiting helps: the service is full, or still works on the request of an interrupted run."""
    kind = str(problem.get("type"))
    return kind.endswith(BUSY) or (problem.get("status") == 503 and not kind.endswith(PERMANENT))


def _named(problem: Mapping[str, Any]) -> set[int]:
    """Places in the batch that a problem document names, as in ``edits.3.input``."""
    found = (re.match(r"edits\.(\d+)", str(error.get("field"))) for error in problem.get("errors", []))
    return {int(place[1]) for place in found if place}


def _chunks(corrections: Sequence[Correction], count: int) -> Iterator[list[Correction]]:
    """Chunks of at most ``count`` corrections, and of no more bytes than a server takes."""
    part: list[Correction] = []
    size = 0
    for one in corrections:
        own = len(str(one.body).encode("unicode_escape", "replace"))
        if part and (len(part) == count or size + own > CHUNK_BYTES):
            yield part
            part, size = [], 0
        part, size = [*part, one], size + own
    if part:
        yield part

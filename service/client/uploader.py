"""Sends corrections in chunks, and does not give up while there is hope."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.client.corrections_file import Correction, digest_of
from service.client.http import Client, ClientError, Refusal, Unreachable
from service.client.results_file import Chunk, ResultsFile

CHUNK_BYTES = 1 << 19  # well below what a server takes in one body
LONGEST_PAUSE = 30.0  # seconds
HOPELESS = ("damaged-edit", "not-ready")  # of an item: somebody has to do something first
BUSY = "idempotency-in-progress"  # the request of an interrupted run is still being worked on


@dataclass(frozen=True)
class UploadOptions:
    """How to send.

    Attributes:
        chunk: corrections in one request.
        patience: seconds without progress after which to give up.
        key: makes the same corrections other requests, for whoever wants them made anew.
    """

    chunk: int = 32
    patience: float = 600.0
    actor: str | None = None
    key: str = ""
    dry_run: bool = False


class Uploader:
    """Brings corrections to the server, each once.

    Args:
        on_item: hears of each correction that is done.
        on_wait: hears why the sender waits, before it does.
        sleep, clock: the world's, or a test's.
    """

    def __init__(
        self,
        client: Client,
        results: ResultsFile,
        manner: UploadOptions,
        on_item: Callable[[Correction], None],
        on_wait: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client, self.results, self.manner = client, results, manner
        self.on_item, self.on_wait = on_item, on_wait
        self.sleep, self.clock = sleep, clock

    def run(self) -> None:
        """Send all that is not done.

        Raises:
            ClientError: the server cannot be reached, or refuses the whole; what was done is in the results.
            OSError: the results cannot be written.
        """
        chunk = None if self.manner.dry_run else self.results.pending()
        if chunk:
            self._deliver(chunk)
        waiting = [one for one in self.results.corrections if not self.results.is_done(one)]
        for part in _parts(waiting, self.manner.chunk):
            self._deliver(self._chunk(part))

    def _chunk(self, corrections: Sequence[Correction]) -> Chunk:
        """The key says what is in it, so that the same request is never made for something else."""
        content = [self.manner.key, self.manner.actor, [one.body for one in corrections]]
        return Chunk(f"file-{digest_of(content)}", tuple(corrections))

    def _deliver(self, chunk: Chunk) -> None:
        """Send a chunk until it is answered; a chunk that is refused as a whole is parted."""
        if not self.manner.dry_run:
            self.results.sending(chunk)
        try:
            self._insist(chunk)
        except Refusal as refusal:
            if refusal.problem.get("status") not in (413, 422):
                raise
            self._part(chunk, refusal)
        if not self.manner.dry_run:
            self.results.sent()

    def _part(self, chunk: Chunk, refusal: Refusal) -> None:
        """Those that the problem names are refused, the others sent again; where it names none, in halves.

        Nothing was recorded, but for what an earlier try had recorded; the server has told of that by now.
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

    def _insist(self, chunk: Chunk) -> None:
        """Sends again after a lost connection or a 503, with pauses, as long as it comes to something."""
        told: set[int] = set()
        last, pause = self.clock(), 1.0
        while True:
            count = len(told)
            try:
                again = self._send(chunk, told)
                if again is None:
                    return
                error: ClientError = again
                wanted = 0.0
            except Unreachable as lost:
                error, wanted = lost, 0.0
            except Refusal as refusal:
                if not _passes(refusal.problem):
                    raise
                error, wanted = refusal, refusal.retry_after
            if len(told) > count:
                last, pause = self.clock(), 1.0
            if self.clock() - last + max(wanted, pause) > self.manner.patience:
                raise error
            self.on_wait(f"{error}; trying again in {max(wanted, pause):.0f} s")
            self.sleep(max(wanted, pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _send(self, chunk: Chunk, told: set[int]) -> Refusal | None:
        """One request; None when every item has its answer, or why some have none. What was told is passed over."""
        waiting: list[Mapping[str, Any]] = []

        def take(item: Mapping[str, Any]) -> None:
            if item["index"] in told:
                return
            if _passes(item.get("problem") or {}):
                waiting.append(item["problem"])
                return
            told.add(item["index"])
            self._done(chunk, item)

        body = {"edits": [one.body for one in chunk.corrections]}
        headers = {"Idempotency-Key": chunk.key}
        if self.manner.actor is not None:
            headers["X-Actor"] = self.manner.actor
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
    return kind.endswith(BUSY) or (problem.get("status") == 503 and not kind.endswith(HOPELESS))


def _named(problem: Mapping[str, Any]) -> set[int]:
    """Places in the batch that a problem document names, as in ``edits.3.input``."""
    found = (re.match(r"edits\.(\d+)", str(error.get("field"))) for error in problem.get("errors", []))
    return {int(place[1]) for place in found if place}


def _parts(corrections: Sequence[Correction], count: int) -> Iterator[list[Correction]]:
    """At most ``count`` together, and no more bytes than a server takes."""
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

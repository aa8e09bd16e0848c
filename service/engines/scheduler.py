"""Continuous batching: one running batch that rows of any call join and leave between two steps."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from torch import Tensor

from editing.model.side_path import stack
from service.engines.batched_step import BatchedStep
from service.engines.capability import why_apart
from service.engines.compute_thread import ComputeThread
from service.engines.forward import read, step
from service.engines.sampling import begin, opening_probability, sample
from service.engines.sequence import TokenSequence
from service.errors import NotReady

SHARE = 128  # prompt tokens that are read for each step of the running rows

logger = logging.getLogger(__name__)


class Scheduler:
    """Rows of all calls. Each turn is one piece of work for the compute thread: prompts are read or a step is made.

    Prompts are read first come, first served; a long one lets others pass after each piece, and the running rows make
    a step for every 128 tokens read. Steps take at most ``width`` rows; where more are running, they take turns. Other
    work of the compute thread comes in between.

    Args:
        width: rows in one step at most; with 1 they are never decoded together.
    """

    def __init__(self, model: Any, compute: ComputeThread, width: int) -> None:
        self.model, self.compute, self.width = model, compute, width
        self._lock = threading.RLock()
        self._new: list[TokenSequence] = []  # guarded by the lock, as the next
        self._scheduled = False
        self._reading: deque[TokenSequence] = deque()  # the rest belongs to the compute thread
        self._running: deque[TokenSequence] = deque()
        self._owed = 0  # steps before more is read

    def join(self, rows: Sequence[TokenSequence]) -> None:
        """Let rows join at the next turn. Each hears its tokens, and at last that it has ended, or why it failed.

        Raises:
            NotReady: the service is stopping.
        """
        with self._lock:
            self._new += rows
            if not self._scheduled:
                self._schedule()

    def turn(self) -> None:
        """In the compute thread: read prompts or make a step, by turns."""
        with self._lock:
            self._reading += self._new
            self._new = []
        self._reading, self._running = self._staying(self._reading), self._staying(self._running)
        if self._reading and (self._owed <= 0 or not self._running):
            self._owed = math.ceil(self._read() / SHARE)
        else:
            self._owed -= 1
            self._step()

    def _schedule(self) -> None:
        try:
            self._scheduled = True
            self.compute.later(self._turn_and_again).add_done_callback(self._closed)
        except RuntimeError:  # closed
            self._stop()

    def _turn_and_again(self) -> None:
        try:
            self.turn()
        except Exception as error:  # nobody may be left waiting
            logger.exception("a turn of the batch failed")
            self._fail(error)
        with self._lock:
            self._scheduled = False
            if self._new or self._reading or self._running:
                self._schedule()

    def _closed(self, turn: Future[None]) -> None:
        if turn.cancelled():
            self._stop()

    def _stop(self) -> None:
        self._fail(NotReady("the service is stopping"))

    def _fail(self, why: Exception) -> None:
        with self._lock:
            rows = [*self._new, *self._reading, *self._running]
            self._new, self._scheduled = [], False
            self._reading.clear()
            self._running.clear()
        for row in rows:
            row.end(why)

    @staticmethod
    def _staying(rows: deque[TokenSequence]) -> deque[TokenSequence]:
        for row in rows:
            if row.left:
                row.end(None)
        return deque(row for row in rows if not row.left)

    def _read(self) -> int:
        """Tokens of the waiting prompts. A row whose prompt is read runs; one with more to read goes to the end."""
        read_now = 0
        while self._reading and read_now < SHARE:
            row = self._reading.popleft()
            before = row.done
            with self._blaming([row]):
                if not before:
                    own = [edit.deltas for edit in row.edits]
                    row.factors = stack([own], self.model.dtype, self.model.device)
                logits = read(self.model, row)
                read_now += row.done - before
                if logits is None:
                    self._reading.append(row)
                else:
                    self._take(row, logits)
        return read_now

    def _step(self) -> None:
        rows = [self._running.popleft() for _ in range(min(len(self._running), self._at_once))]
        logits: Sequence[Tensor] | Tensor = ()
        with self._blaming(rows):
            logits = self._together.step(rows) if len(rows) > 1 else [step(self.model, row) for row in rows]
        for row, own in zip(rows, logits, strict=False):  # no logits where the step failed
            with self._blaming([row]):
                self._take(row, own)

    def _take(self, row: TokenSequence, logits: Tensor) -> None:
        if not row.tokens:
            row.opening_probability = opening_probability(logits, row.params)
        choose = sample if row.tokens else begin
        token = choose(logits, row.params, row.draw)
        row.log_probability += float(logits[token] - logits.logsumexp(-1))
        if row.push(token):
            self._running.append(row)

    @contextmanager
    def _blaming(self, rows: Sequence[TokenSequence]) -> Iterator[None]:
        """An error within ends these rows, and no others."""
        try:
            yield
        except Exception as error:
            for row in rows:
                row.end(error)

    @property
    def _at_once(self) -> int:
        return self.width if self.width > 1 and len(self._running) > 1 and self.why_apart is None else 1

    @cached_property
    def why_apart(self) -> str | None:
        """Why rows of this model take turns; None if they are decoded together. Found out when two rows first meet."""
        if reason := why_apart(self.model):
            logger.warning("concurrent answers take turns token by token, for %s", reason)
        return reason

    @cached_property
    def _together(self) -> BatchedStep:
        return BatchedStep(self.model)

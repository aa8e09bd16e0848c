"""Continuous batching: one running batch that sequences of any call join and leave between two steps."""

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
from service.engines.forward import next_piece, read, step
from service.engines.sampling import begin, no_answer_probability, sample
from service.engines.sequence import TokenSequence
from service.errors import NotReady

SHARE = 128  # prompt tokens that are read for each step of the running sequences

logger = logging.getLogger(__name__)


class Scheduler:
    """Sequences of all calls. Each step is one piece of work for the compute thread; other work comes in between.

    Prompts are read first come, first served; a long one lets others pass after each piece, and the running sequences
    get a token for every 128 tokens read. At most ``width`` sequences get one in the same step; where more are running,
    they take turns.

    Args:
        width: sequences in one step at most; with 1 they are never decoded together.
    """

    def __init__(self, model: Any, compute: ComputeThread, width: int) -> None:
        self.model, self.compute, self.width = model, compute, width
        self.added: list[TokenSequence] = []  # guarded by the lock, as the next
        self._queued = False  # whether a step waits for the compute thread
        self._lock = threading.RLock()
        self.waiting: deque[TokenSequence] = deque()  # the rest belongs to the compute thread
        self.running: deque[TokenSequence] = deque()
        self._steps_owed = 0  # to the running, before more is read

    def add(self, sequences: Sequence[TokenSequence]) -> None:
        """Let sequences join at the next step. Each hears its tokens, and at last that it has ended, or why it failed.

        Raises:
            NotReady: the service is stopping.
        """
        with self._lock:
            self.added += sequences
            if not self._queued:
                self._queue_step()

    def step(self) -> None:
        """In the compute thread: read prompts, or get the running sequences a token."""
        sequences, is_prefill = self.schedule()
        if is_prefill:
            for sequence in sequences:
                with _ended_by_errors([sequence]):
                    self.postprocess(sequence, self._prefill(sequence))
            return
        for sequence, logits in zip(sequences, self._decode(sequences), strict=False):  # no logits where it failed
            with _ended_by_errors([sequence]):
                self.postprocess(sequence, logits)

    def schedule(self) -> tuple[list[TokenSequence], bool]:
        """The sequences of this step, and whether it reads a piece of their prompts."""
        with self._lock:
            self.waiting += self.added
            self.added = []
        self.waiting, self.running = _staying(self.waiting), _staying(self.running)
        if not self.waiting or (self._steps_owed > 0 and self.running):
            self._steps_owed -= 1
            return [self.running.popleft() for _ in range(min(len(self.running), self._at_once))], False
        sequences, tokens = list[TokenSequence](), 0
        while self.waiting and tokens < SHARE:
            sequences.append(self.waiting.popleft())
            tokens += len(next_piece(sequences[-1]))
        self._steps_owed = math.ceil(tokens / SHARE)
        return sequences, True

    def postprocess(self, sequence: TokenSequence, logits: Tensor | None) -> None:
        """Choose the next token once the prompt is read; a sequence with more to read waits behind the others."""
        if logits is None:
            self.waiting.append(sequence)
            return
        if not sequence.tokens:
            sequence.no_answer_probability = no_answer_probability(logits, sequence.params)
        choose = sample if sequence.tokens else begin
        token = choose(logits, sequence.params, sequence.generator)
        sequence.log_probability += float(logits[token] - logits.logsumexp(-1))
        if sequence.append(token):
            self.running.append(sequence)

    @cached_property
    def why_apart(self) -> str | None:
        """Why sequences of this model take turns; None if they are decoded together. Found out when two first meet."""
        if reason := why_apart(self.model):
            logger.warning("concurrent answers take turns token by token, for %s", reason)
        return reason

    @cached_property
    def batched(self) -> BatchedStep:
        return BatchedStep(self.model)

    @property
    def _at_once(self) -> int:
        return self.width if self.width > 1 and len(self.running) > 1 and self.why_apart is None else 1

    def _prefill(self, sequence: TokenSequence) -> Tensor | None:
        if not sequence.prompt_read:
            own = [edit.deltas for edit in sequence.edits]
            sequence.factors = stack([own], self.model.dtype, self.model.device)
        return read(self.model, sequence)

    def _decode(self, sequences: Sequence[TokenSequence]) -> Sequence[Tensor] | Tensor:
        """Logits (n, vocab); none where the model failed."""
        with _ended_by_errors(sequences):
            if len(sequences) > 1:
                return self.batched.step(sequences)
            return [step(self.model, sequence) for sequence in sequences]
        return ()

    def _queue_step(self) -> None:
        try:
            self._queued = True
            self.compute.later(self._step_and_queue).add_done_callback(self._when_closed)
        except RuntimeError:  # closed
            self._stop()

    def _step_and_queue(self) -> None:
        try:
            self.step()
        except Exception as error:  # nobody may be left waiting
            logger.exception("a step of the engine failed")
            self._end_all(error)
        with self._lock:
            self._queued = False
            if self.added or self.waiting or self.running:
                self._queue_step()

    def _when_closed(self, queued: Future[None]) -> None:
        if queued.cancelled():
            self._stop()

    def _stop(self) -> None:
        self._end_all(NotReady("the service is stopping"))

    def _end_all(self, why: Exception) -> None:
        with self._lock:
            sequences = [*self.added, *self.waiting, *self.running]
            self.added, self._queued = [], False
            self.waiting.clear()
            self.running.clear()
        for sequence in sequences:
            sequence.end(why)


def _staying(sequences: deque[TokenSequence]) -> deque[TokenSequence]:
    """Without those that nobody wants any more."""
    for sequence in sequences:
        if sequence.left:
            sequence.end(None)
    return deque(sequence for sequence in sequences if not sequence.left)


@contextmanager
def _ended_by_errors(sequences: Sequence[TokenSequence]) -> Iterator[None]:
    """An error within ends these sequences, and no others."""
    try:
        yield
    except Exception as error:
        for sequence in sequences:
            sequence.end(error)

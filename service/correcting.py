"""Making an edit: compute, verify by free generation, refine where it does not hold, record."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from editing.checkpoint import Editor
from editing.compute import edit_sequences
from editing.edit import Deltas, Edit, EditRequest
from editing.errors import LedgerConflict
from editing.events import Draft, Event
from editing.refine import refine, settled
from editing.scope import Wordings
from editing.state import State
from editing.verify import Verification, verify
from service.base_model import BaseModel
from service.compute import ComputeThread
from service.engines import Engine, SamplingParams
from service.errors import ChecksFailed, IdempotencyInProgress, IdempotencyMismatch, NotReady, RevisionMoved
from service.prompt import PromptBuilder
from service.record import EditRecordBook, request_of, stored_request
from service.usecases import EditOptions, EditResult

REFINEMENTS = 4  # rounds at most, each a few gradient steps
SUPERSEDES = 4.0  # log-odds above the scope threshold from which a new edit takes an old one's place
RETRIES = 3  # when another process writes first


@dataclass(frozen=True, eq=False)
class Made:
    """An edit that was computed and asked, recorded or not."""

    deltas: Deltas
    wordings: Wordings
    supersedes: tuple[str, ...]
    verification: Verification
    report: dict[str, Any]


class Corrector:
    """Turns requests into recorded edits; one writer at a time.

    Args:
        base: the served model.
        editor: its editor network, or None: then every request is refused with what to do.
        verify_tokens: longest answer in a verification.
    """

    def __init__(
        self, base: BaseModel, editor: Editor | None, engine: Engine, prompts: PromptBuilder, book: EditRecordBook,
        compute: ComputeThread, verify_tokens: int = 64,
    ) -> None:  # fmt: skip
        self.base, self.editor, self.engine, self.prompts, self.book = base, editor, engine, prompts, book
        self.compute = compute
        self.params = SamplingParams(max_tokens=verify_tokens)
        self.writing = threading.Lock()
        self._running: set[str] = set()
        self._guard = threading.Lock()

    def edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        """Make an edit as ``options`` say.

        Raises:
            InvalidEdit, ChecksFailed, RevisionMoved, IdempotencyMismatch, IdempotencyInProgress, StorageError, NotReady
        """
        with self._once(options):
            if first := self._first_answer(options):
                return first
            with self.writing:
                for attempt in range(RETRIES):
                    try:
                        return self._edit(request, options)
                    except LedgerConflict as conflict:  # another process wrote while this one computed
                        if first := self._first_answer(options):  # … and it was the same request
                            return first
                        if options.if_match is not None or attempt == RETRIES - 1:
                            raise RevisionMoved(conflict.expected, conflict.actual) from conflict
        raise AssertionError("unreachable")

    def _edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        state = self.book.refresh()
        expect_head(options.if_match, state.revision)
        made = self.make(request, state)
        if options.dry_run:
            return EditResult(
                None,
                state.revision,
                "active",
                _now(),
                options.actor,
                request,
                made.report,
                options.reason,
                made.supersedes,
            )
        if not made.verification.holds and not options.force:
            raise ChecksFailed(made.report)
        return result_of(self._record(request, options, made, state))

    def make(self, request: EditRequest, state: State) -> Made:
        """Compute and verify under the edits in force; nothing is recorded."""
        if self.editor is None:
            raise NotReady(
                f"there is no editor for {self.base.name}; train one with 'errata train' and set ERRATA_EDITOR", 3600
            )
        sequences = edit_sequences(self.prompts.encoder, request, self.prompts.context)
        for field in ("rephrases", "locality"):
            for text in getattr(request, field):
                self.prompts.question(text, field, self.params.max_tokens, request.raw)
        wordings = self.compute.run(self.book.scope.wordings, request)
        supersedes = self.compute.run(self.book.superseded, request, state, SUPERSEDES)
        under = [self.book.edit(i).deltas for i in state.active if self._acts_below(i, supersedes)]
        began = time.perf_counter()
        before = [self._answer(p, request.raw, state) for p in (request.input, *request.rephrases, *request.locality)]
        before_seconds = time.perf_counter() - began
        began = time.perf_counter()
        deltas: Deltas = self.compute.run(self.editor.method.edit, self.base.model, sequences, under)
        compute_seconds = time.perf_counter() - began
        rounds, verify_seconds = 0, before_seconds
        while True:
            began = time.perf_counter()
            verification = self._verify(request, before, deltas, wordings, state, supersedes)
            verify_seconds += time.perf_counter() - began
            began = time.perf_counter()
            settles = self.compute.run(settled, self.base.model, deltas, sequences, under)
            if (verification.generalizes and settles) or rounds == REFINEMENTS:
                break
            deltas = self.compute.run(refine, self.base.model, deltas, sequences, under)
            compute_seconds += time.perf_counter() - began
            rounds += 1
        times = {"compute_ms": round(compute_seconds * 1000, 1), "verify_ms": round(verify_seconds * 1000, 1)}
        return Made(
            deltas, wordings, supersedes, verification, {**verification.report(), "refinements": rounds, **times}
        )

    def _acts_below(self, edit_id: str, supersedes: tuple[str, ...]) -> bool:
        """Global edits act on the prompt beside the new one; a matched one gives way to it."""
        return edit_id not in supersedes and self.book.request(edit_id).scope == "global"

    def _verify(
        self,
        request: EditRequest,
        before: list[str],
        deltas: Deltas,
        wordings: Wordings,
        state: State,
        supersedes: tuple[str, ...],
    ) -> Verification:
        candidate = Edit("candidate", request, deltas)
        known = dict(zip((request.input, *request.rephrases, *request.locality), before, strict=True))

        def answer(text: str) -> str:
            used = self._in_force_with(candidate, wordings, text, state, supersedes)
            if candidate not in used and not supersedes:
                return known[text]  # the same edits as before act, and generation is deterministic
            prompt = self.prompts.question(text, "input", self.params.max_tokens, request.raw)
            return self.engine.generate([prompt.ids], [used], self.params)[0].text

        return verify(request, before, answer)

    def _in_force_with(
        self, candidate: Edit, wordings: Wordings, text: str, state: State, supersedes: tuple[str, ...]
    ) -> list[Edit]:
        """What will act on a text once the candidate is recorded."""
        standing = State(state.revision, tuple(i for i in state.active if i not in supersedes), {})
        everywhere = candidate.request.scope == "global"
        taking_part = None if everywhere else (candidate.id, wordings)
        ids = self.compute.run(self.book.in_force, text, standing, "active", taking_part)
        edits = [self.book.edit(i) for i in ids if i != candidate.id]
        return [*edits, candidate] if everywhere or candidate.id in ids else edits

    def _answer(self, text: str, raw: bool, state: State) -> str:
        prompt = self.prompts.question(text, "input", self.params.max_tokens, raw)
        edits = [self.book.edit(i) for i in self.compute.run(self.book.in_force, text, state)]
        return self.engine.generate([prompt.ids], [edits], self.params)[0].text

    def _record(self, request: EditRequest, options: EditOptions, made: Made, state: State) -> Event:
        """The factor file first, the ledger row second (D4)."""
        assert self.editor is not None
        factors = self.book.store.save(made.deltas, self.base.name)
        draft = Draft(
            kind="apply", edit_id=f"ed_{uuid.uuid4().hex}", actor=options.actor, reason=options.reason,
            request=stored_request(request), report=made.report, factors=factors, supersedes=made.supersedes,
            model=self.base.digest, editor=self.editor.digest, base_revision=state.revision,
            idempotency_key=options.idempotency_key,
            fingerprint=options.fingerprint if options.idempotency_key else None,
        )  # fmt: skip
        return self.book.append(draft, after=state.revision, wordings=made.wordings)

    def _first_answer(self, options: EditOptions) -> EditResult | None:
        if options.idempotency_key is None:
            return None
        event = self.book.ledger.by_idempotency_key(options.idempotency_key)
        if event is None:
            return None
        if event.fingerprint != options.fingerprint:
            raise IdempotencyMismatch(
                f"the idempotency key {options.idempotency_key!r} was used with another body before"
            )
        return result_of(event, replayed=True)

    @contextmanager
    def _once(self, options: EditOptions) -> Iterator[None]:
        """While the first request with a key runs, a second one is refused."""
        key = options.idempotency_key
        if key is None:
            yield
            return
        with self._guard:
            if key in self._running:
                raise IdempotencyInProgress(
                    f"the first request with the idempotency key {key!r} is still running; ask again later"
                )
            self._running.add(key)
        try:
            yield
        finally:
            with self._guard:
                self._running.discard(key)


def expect_head(if_match: int | None, revision: int) -> None:
    """Raises RevisionMoved when the writer expects another head."""
    if if_match is not None and if_match != revision:
        raise RevisionMoved(if_match, revision)


def result_of(event: Event, *, replayed: bool = False) -> EditResult:
    """An apply event as the answer to the request that made it."""
    return EditResult(
        event.edit_id, event.seq, "active", event.at, event.actor, request_of(event.request or {}), event.report or {},
        event.reason, tuple(event.supersedes), replayed,
    )  # fmt: skip


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

"""Making edits: compute them, ask the model as it will be served, refine what does not hold. Nothing is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from editing.edit import Deltas, Edit, EditRequest
from editing.editors.checkpoint import EditorCheckpoint
from editing.editors.refine import refine_many, settled_many
from editing.ledger.state import State
from editing.model.edit_batch import EditBatch, EditContext
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from editing.scope.head import TextVectors
from editing.scope.wordings import Wordings
from editing.verify import Verification, verify
from service.edits.registry import EditRegistry
from service.engines.compute_thread import ComputeThread
from service.engines.model_loader import LoadedModel
from service.engines.protocol import Engine, SamplingParams
from service.errors import NotReady
from service.prompt import PromptBuilder

REFINEMENTS = 4  # rounds at most, each a few gradient steps
SUPERSEDES = 4.0  # log-odds above the scope threshold from which a new edit takes an old one's place
PIECE = 8  # corrections, or sequences, that the compute thread works on before others get a turn
NEAR = 0.3  # cosine of sentence vectors; rephrasings of one question lie far above
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PreparedEdit:
    """A request that can become an edit.

    Attributes:
        sequences: its views with their target, as token ids.
        wordings: what it will answer to.
    """

    request: EditRequest
    sequences: list[TargetSequence]
    wordings: Wordings

    @property
    def prompts(self) -> tuple[str, ...]:
        """Everything that verification asks."""
        return (self.request.input, *self.request.rephrases, *self.request.locality)

    @property
    def vectors(self) -> tuple[TextVectors, ...]:
        """Of the same prompts."""
        own, rephrases = self.wordings.texts, len(self.request.rephrases)
        return (own[0], *own[len(own) - rephrases :], *self.wordings.apart)


@dataclass(frozen=True, eq=False)
class ComputedEdit:
    """An edit that was computed and asked, recorded or not."""

    asked: PreparedEdit
    deltas: Deltas
    supersedes: tuple[str, ...]
    verification: Verification
    report: dict[str, Any]


@dataclass(eq=False)
class _PendingEdit:
    """A correction in the making."""

    asked: PreparedEdit
    supersedes: tuple[str, ...]
    standing: State  # without what it supersedes
    before: dict[str, str] = field(default_factory=dict)
    deltas: Deltas = field(default_factory=dict)
    verification: Verification | None = None
    rounds: int = 0

    @property
    def generalizes(self) -> bool:
        return self.verification is not None and self.verification.generalizes


@dataclass(eq=False)
class _Stopwatch:
    """Seconds since it was last read."""

    last: float = field(default_factory=time.perf_counter)

    def lap(self) -> float:
        before, self.last = self.last, time.perf_counter()
        return self.last - before


class EditComputation:
    """Makes edits on top of a state; several at once share their passes through the model.

    Args:
        base: the served model.
        editor: its editor, or None: then every request is refused with what to do.
        verify_tokens: longest answer in a verification.
    """

    def __init__(
        self,
        base: LoadedModel,
        editor: EditorCheckpoint | None,
        engine: Engine,
        prompts: PromptBuilder,
        book: EditRegistry,
        compute: ComputeThread,
        verify_tokens: int = 64,
    ) -> None:
        self.base, self.editor, self.engine, self.prompts, self.book = base, editor, engine, prompts, book
        self.compute, self.params = compute, SamplingParams(max_tokens=verify_tokens)
        self._workshop: EditContext | None = None  # set up with the first edit

    def asked(self, request: EditRequest) -> PreparedEdit:
        """Check a request and prepare it.

        Raises:
            InvalidEdit, InvalidPrompt: it cannot become an edit; NotReady: there is no editor.
        """
        if self.editor is None:
            raise NotReady(
                f"there is no editor for {self.base.name}; train one with 'errata train' and set ERRATA_EDITOR", 3600
            )
        sequences = edit_sequences(self.prompts.encoder, request, self.prompts.context)
        for name in ("rephrases", "locality"):
            for text in getattr(request, name):
                self.prompts.question(text, name, self.params.max_tokens, request.raw)
        return PreparedEdit(request, sequences, self.compute.run(self.book.scope.wordings, request))

    def make(self, asked: Sequence[PreparedEdit], state: State) -> list[ComputedEdit]:
        """Compute and verify under the edits in force. The requests must not concern each other.

        ``compute_ms`` and ``verify_ms`` of requests made together are their shares of the time.
        """
        clock, compute, check = _Stopwatch(), 0.0, 0.0
        jobs = [self._job(one, state) for one in asked]
        self._ask_before(jobs, state)
        check += clock.lap()
        bench = self._bench(jobs, state)
        for job, deltas in zip(jobs, self._edited(bench), strict=True):
            job.deltas = deltas
        compute += clock.lap()
        pending = list(range(len(jobs)))
        while pending:
            self._verify([jobs[n] for n in pending])
            check += clock.lap()
            settles = self._piecewise(bench, pending, settled_many, jobs)
            pending = [n for n in pending if not (jobs[n].generalizes and settles[n]) and jobs[n].rounds < REFINEMENTS]
            for n, deltas in self._piecewise(bench, pending, refine_many, jobs).items():
                jobs[n].deltas, jobs[n].rounds = deltas, jobs[n].rounds + 1
            compute += clock.lap()
        share = {"compute_ms": round(compute * 1000 / len(jobs), 1), "verify_ms": round(check * 1000 / len(jobs), 1)}
        return [_made(job, share) for job in jobs]

    def _job(self, asked: PreparedEdit, state: State) -> _PendingEdit:
        supersedes = self.compute.run(self.book.superseded, asked.request, state, SUPERSEDES)
        return _PendingEdit(asked, supersedes, self.book.without(state, supersedes))

    def _bench(self, jobs: Sequence[_PendingEdit], state: State) -> EditBatch:
        """Global edits act on the prompts beside the new ones; matched ones give way to them."""
        gone = {i for job in jobs for i in job.supersedes}
        under = [self.book.edit(i).deltas for i in self.book.everywhere(state) if i not in gone]
        bench = self.compute.run(self._shop().bench, [job.asked.sequences for job in jobs], under)
        for some in _pieces([row.sequence for row in bench.views]):
            self.compute.run(bench.passes.ensure, some)
        return bench

    def _shop(self) -> EditContext:
        assert self.editor is not None
        if self._workshop is None:
            prefix = self.prompts.encoder.prefix()
            self._workshop = self.compute.run(EditContext, self.base.model, self.editor.layers, prefix)
        return self._workshop

    def _edited(self, bench: EditBatch) -> Iterator[Deltas]:
        assert self.editor is not None
        method = self.editor.method
        if not hasattr(method, "edit_many"):
            for job in bench.jobs:
                yield self.compute.run(method.edit, bench.model, job, bench.under)
            return
        for some in _pieces(range(len(bench.jobs))):
            yield from self.compute.run(method.edit_many, bench.only(some))

    def _piecewise(
        self,
        bench: EditBatch,
        which: Sequence[int],
        work: Callable[[EditBatch, list[Deltas]], list[T]],
        jobs: Sequence[_PendingEdit],
    ) -> dict[int, T]:
        found: dict[int, T] = {}
        for some in _pieces(which):
            own = [jobs[n].deltas for n in some]
            found |= zip(some, self.compute.run(work, bench.only(some), own), strict=True)
        return found

    def _ask_before(self, jobs: Sequence[_PendingEdit], state: State) -> None:
        wanted = [(job, text) for job in jobs for text in dict.fromkeys(job.asked.prompts)]
        edits = [[self.book.edit(i) for i in self._in_force(text, state)] for _, text in wanted]
        for (job, text), said in zip(wanted, self._answers(wanted, edits), strict=True):
            job.before[text] = said

    def _verify(self, jobs: Sequence[_PendingEdit]) -> None:
        """Ask everything again, with each candidate in force as it will be once it is recorded."""
        after = [dict(job.before) for job in jobs]
        wanted, edits = [], []
        for job, said in zip(jobs, after, strict=True):
            candidate = Edit("candidate", job.asked.request, job.deltas)
            for text in said:
                used = self._in_force_with(candidate, job, text)
                if candidate in used or job.supersedes:  # else the same edits as before act: so does the same answer
                    wanted.append((job, text))
                    edits.append(used)
        answers = dict(zip([(id(job), text) for job, text in wanted], self._answers(wanted, edits), strict=True))
        for job, said in zip(jobs, after, strict=True):
            said |= {text: answers[id(job), text] for text in said if (id(job), text) in answers}
            before = [job.before[text] for text in job.asked.prompts]
            job.verification = verify(job.asked.request, before, said.__getitem__)

    def _in_force(self, text: str, state: State) -> list[str]:
        return self.compute.run(self.book.in_force, text, state)

    def _in_force_with(self, candidate: Edit, job: _PendingEdit, text: str) -> list[Edit]:
        """What will act on a text once the candidate is recorded."""
        everywhere = candidate.request.scope == "global"
        taking_part = None if everywhere else (candidate.id, job.asked.wordings)
        ids = self.compute.run(self.book.in_force, text, job.standing, "active", taking_part)
        edits = [self.book.edit(i) for i in ids if i != candidate.id]
        return [*edits, candidate] if everywhere or candidate.id in ids else edits

    def _answers(self, wanted: Sequence[tuple[_PendingEdit, str]], edits: Sequence[Sequence[Edit]]) -> list[str]:
        prompts = [
            self.prompts.question(text, "input", self.params.max_tokens, job.asked.request.raw).ids
            for job, text in wanted
        ]
        return [made.text for made in self.engine.generate(prompts, edits, self.params)] if prompts else []


def near(text: TextVectors, wordings: Wordings) -> bool:
    """Whether the head may be asked at all if they are the same: it never says so of texts that lie far apart."""
    return any(float(text.sentence @ own.sentence) > NEAR for own in wordings.texts)


def _made(job: _PendingEdit, times: Mapping[str, float]) -> ComputedEdit:
    assert job.verification is not None
    report = {**job.verification.report(), "refinements": job.rounds, **times}
    return ComputedEdit(job.asked, job.deltas, job.supersedes, job.verification, report)


def _pieces(items: Sequence[T]) -> Iterator[list[T]]:
    return (list(items[at : at + PIECE]) for at in range(0, len(items), PIECE))

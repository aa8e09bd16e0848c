"""The use-cases, put together from their parts. What each promises stands in ``service/types.py``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from editing.edit import EditRequest
from editing.editors.checkpoint import EditorCheckpoint
from editing.errors import EditNotActive, LedgerConflict, NotRedactable
from editing.ledger.events import Draft
from editing.ledger.events import Event as Recorded
from editing.ledger.log_file import event_json
from editing.ledger.state import State
from service.answers.answerer import Answerer
from service.answers.index_manager import IndexManager
from service.edits import listing
from service.edits.log_proofs import LogTree, verified
from service.edits.registry import EditRegistry
from service.edits.writer import RETRIES, EditWriter, expect_head
from service.engines.model_loader import LoadedModel
from service.engines.protocol import Engine, OnText
from service.errors import Overloaded, RevisionMoved
from service.prompt import PromptBuilder
from service.types import (
    PLAIN,
    Answer,
    AskAnswer,
    AskQuery,
    BatchResult,
    ConsistencyProof,
    Damage,
    EditItem,
    EditOptions,
    EditRecord,
    EditResult,
    EditsPage,
    Event,
    GenerateQuery,
    InclusionProof,
    IndexInfo,
    LogRoot,
    LogVerification,
    MissingPart,
    ModelInfo,
    NotedRoot,
    OnItem,
    OnPiece,
    Readiness,
    RedactResult,
    RetrievalResult,
    RollbackResult,
    SearchOptions,
    StatusFilter,
)


class Pipeline:
    """Implements ``UseCases``. Reads work on values of one revision; writes go through one writer."""

    def __init__(
        self,
        base: LoadedModel,
        editor: EditorCheckpoint | None,
        engine: Engine,
        prompts: PromptBuilder,
        book: EditRegistry,
        corrector: EditWriter,
        answerer: Answerer,
        library: IndexManager,
        max_waiting: int = 256,
    ) -> None:
        self.base, self.editor, self.engine, self.prompts = base, editor, engine, prompts
        self.book, self.corrector, self.answerer, self.library = book, corrector, answerer, library
        self.tree = LogTree(book.ledger)
        self._places = threading.BoundedSemaphore(max_waiting)

    def generate(self, query: GenerateQuery, on_text: OnPiece | None = None) -> Answer:
        with self._place():
            state = self.book.state(query.revision)
            prompt = self.prompts.of_query(query)
            used = self.corrector.compute.run(self.book.in_force, prompt.about, state, query.edits)
            piece: Callable[[int, str], None] | None = (lambda _, text: on_text(text)) if on_text else None
            edits = [self.book.edit(i) for i in used]
            (made,) = self.engine.generate([prompt.ids], [edits], query.params, piece)
        return Answer(
            made.text, made.finish_reason, state.revision, tuple(used), made.prompt_tokens, made.completion_tokens
        )

    def generate_many(self, queries: Sequence[GenerateQuery], on_text: OnText | None = None) -> list[Answer]:
        """Several prompts decoded together, each under its own edits; all share the first one's parameters."""
        if not queries:
            return []
        with self._place():
            states = [self.book.state(query.revision) for query in queries]
            prompts = [self.prompts.of_query(query) for query in queries]
            used = [
                self.corrector.compute.run(self.book.in_force, prompt.about, state, query.edits)
                for query, prompt, state in zip(queries, prompts, states, strict=True)
            ]
            edits = [[self.book.edit(i) for i in ids] for ids in used]
            made = self.engine.generate([prompt.ids for prompt in prompts], edits, queries[0].params, on_text)
        return [
            Answer(m.text, m.finish_reason, state.revision, tuple(ids), m.prompt_tokens, m.completion_tokens)
            for m, state, ids in zip(made, states, used, strict=True)
        ]

    def edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        with self._place():
            return self.corrector.edit(request, options)

    def edit_many(self, items: Sequence[EditItem], on_item: OnItem | None = None) -> BatchResult:
        with self._place():
            outcomes = self.corrector.edit_many(items, on_item)
        return BatchResult(tuple(outcomes), self.book.refresh().revision)

    def rollback(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RollbackResult:
        def draft(state: State) -> Draft:
            self.book.event(edit_id)
            if state.status(edit_id) == "rolled_back":
                raise EditNotActive(f"{edit_id} is not active: it was rolled back before")
            return Draft(kind="rollback", edit_id=edit_id, actor=actor, reason=reason)

        return self._take_back(draft, if_match)

    def restore(self, to_revision: int, actor: str, reason: str | None, if_match: int | None) -> RollbackResult:
        def draft(_state: State) -> Draft:
            self.book.state(to_revision)
            return Draft(kind="restore", to=to_revision, actor=actor, reason=reason)

        return self._take_back(draft, if_match)

    def edits(self, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage:
        return listing.page(self.book, status, limit, cursor)

    def edit_by_id(self, edit_id: str) -> EditRecord:
        return listing.record(self.book, self.book.refresh(), edit_id, with_events=True)

    def log(self, after: int, limit: int) -> Sequence[Event]:
        return [event_json(event) for event in self.book.ledger.events(after, limit)]

    def verify_log(self, noted: NotedRoot | None = None) -> LogVerification:
        return verified(self.book.verify(), self.book.health.damaged(), noted)

    def log_root(self, tree_size: int | None = None) -> LogRoot:
        return self.tree.root(tree_size)

    def log_inclusion(self, seq: int, tree_size: int | None = None) -> InclusionProof:
        return self.tree.inclusion(seq, tree_size)

    def log_consistency(self, first: int, second: int | None = None) -> ConsistencyProof:
        return self.tree.consistency(first, second)

    def redact(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RedactResult:
        def draft(state: State) -> Draft:
            self.book.event(edit_id)
            if (status := state.status(edit_id)) != "rolled_back":
                raise NotRedactable(f"{edit_id} is {status}, and its texts are needed for that; roll it back first")
            return Draft(kind="redact", edit_id=edit_id, actor=actor, reason=reason)

        _, event = self._recorded(draft, if_match)
        return RedactResult(event.seq, edit_id, event.at, event.actor, event.reason)

    def retrieve(self, query: str, k: int, search: SearchOptions = PLAIN) -> RetrievalResult:
        (found,) = self.retrieve_many([query], k, search)
        return found

    def retrieve_many(self, queries: Sequence[str], k: int, search: SearchOptions = PLAIN) -> Sequence[RetrievalResult]:
        with self._place():
            return self.answerer.retrieve(self.library.retriever(), queries, k, search)

    def ask(self, query: AskQuery, on_text: OnPiece | None = None) -> AskAnswer:
        with self._place():
            return self.answerer.ask(self.library.retriever(), query, self.book.state(query.revision), on_text)

    def indexes(self) -> Sequence[IndexInfo]:
        return self.library.list()

    def activate(self, version: str) -> IndexInfo:
        return self.library.activate(version)

    def model(self) -> ModelInfo:
        state = self.book.refresh()
        name, digest, layers = (
            (self.editor.name, self.editor.digest, self.editor.layers) if self.editor else (None, None, ())
        )
        return ModelInfo(
            self.base.name,
            self.base.digest,
            name,
            digest,
            layers,
            state.revision,
            len(state.active),
            len(self._damaged(state)),
        )

    def readiness(self) -> Readiness:
        missing, damaged = [], tuple[Damage, ...]()
        try:
            damaged = self._damaged(self.book.refresh())
        except Exception as error:  # whatever it is, the ledger cannot be used
            missing.append(MissingPart("ledger", str(error)))
        if not self.library.is_open:
            missing.append(MissingPart("index", self.library.why_not))
        return Readiness(not missing, tuple(missing), damaged)

    def _damaged(self, state: State) -> tuple[Damage, ...]:
        """Edits that stand, and could not be served."""
        damaged = self.book.health.damaged()
        standing = frozenset(state.applied) if damaged else frozenset()
        return tuple(damage for damage in damaged if damage.edit_id in standing)

    def _take_back(self, draft: Callable[[State], Draft], if_match: int | None) -> RollbackResult:
        before, event = self._recorded(draft, if_match)
        after = self.book.state(event.seq)
        standing = frozenset(after.applied)
        gone = tuple(i for i in before.applied if i not in standing)
        return RollbackResult(after.revision, after.active, gone)

    def _recorded(self, draft: Callable[[State], Draft], if_match: int | None) -> tuple[State, Recorded]:
        """The state before, and the event behind it."""
        with self.corrector.writing:
            for attempt in range(RETRIES):
                before = self.book.refresh()
                expect_head(if_match, before.revision)
                try:
                    return before, self.book.append(draft(before), after=before.revision)
                except LedgerConflict as conflict:  # another process wrote first; what it wrote is looked at anew
                    if attempt == RETRIES - 1:
                        raise RevisionMoved(conflict.expected, conflict.actual) from conflict
        raise AssertionError("unreachable")

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Overloaded("too many requests are waiting for the model; try again in a moment", 2)
        try:
            yield
        finally:
            self._places.release()

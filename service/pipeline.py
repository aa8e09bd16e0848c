"""The service itself, put together from its parts. What it promises stands in ``service/types/service.py``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from editing.edit import EditRequest
from editing.errors import EditNotActive, NotRedactable
from editing.ledger.events import Draft
from editing.ledger.log_file import event_json
from editing.ledger.state import State
from service.acting.edited_engine import EditedPrompt
from service.answers.answerer import Answerer
from service.answers.passage_search import PassageSearch
from service.edits import listing
from service.edits.log_proofs import LogTree, verified
from service.edits.registry import EditRegistry
from service.edits.writer import EditWriter
from service.engines.protocol import OnText
from service.errors import Overloaded
from service.served_model import ServedModel
from service.types.answers import PLAIN, AskAnswer, AskQuery, IndexInfo, RetrievalResult, SearchOptions
from service.types.edits import (
    Amendment,
    BatchResult,
    Damage,
    EditDetails,
    EditItem,
    EditOptions,
    EditResult,
    EditsPage,
    Event,
    MatchResult,
    OnItem,
    RollbackResult,
    StatusFilter,
)
from service.types.generation import Answer, GenerateQuery, OnPiece, UsedEdit
from service.types.log import ConsistencyProof, InclusionProof, LogRoot, LogVerification, NotedRoot, RedactResult
from service.types.service import MissingPart, ModelInfo, Readiness


class Pipeline:
    """Implements :class:`service.types.service.Service`. Reads work on values of one revision; one writer writes.

    Args:
        max_waiting: requests for the model that may be under way; further ones are refused.
    """

    def __init__(
        self,
        served: ServedModel,
        registry: EditRegistry,
        writer: EditWriter,
        answerer: Answerer,
        search: PassageSearch,
        max_waiting: int = 256,
    ) -> None:
        self.base, self.editor = served.base, served.editor
        self.engine, self.edited = served.engine, served.edited
        self.prompts, self.compute = served.prompts, served.compute
        self.registry, self.writer, self.answerer = registry, writer, answerer
        self.search, self.index_manager = search, search.index_manager
        self.tree = LogTree(registry.ledger)
        self._places = threading.BoundedSemaphore(max_waiting)

    def generate(self, query: GenerateQuery, on_text: OnPiece | None = None) -> Answer:
        (answer,) = self.generate_many([query], (lambda _, text: on_text(text)) if on_text else None)
        return answer

    def generate_many(self, queries: Sequence[GenerateQuery], on_text: OnText | None = None) -> list[Answer]:
        """Several prompts decoded together, each under its own edits; all share the first one's parameters."""
        if not queries:
            return []
        with self._place():
            states = [self.registry.state(query.revision) for query in queries]
            prompts = [self.prompts.of_query(query) for query in queries]
            edits = [
                self.registry.acting(prompt.about, state, query.edits)
                for query, prompt, state in zip(queries, prompts, states, strict=True)
            ]
            asked = [EditedPrompt(prompt, acting) for prompt, acting in zip(prompts, edits, strict=True)]
            made = self.edited.generate(asked, queries[0].params, on_text)
        return [
            Answer(
                text=one.text,
                finish_reason=one.finish_reason,
                revision=state.revision,
                edits=tuple(UsedEdit(edit.id, edit.kind_name) for edit in acting),
                prompt_tokens=one.prompt_tokens,
                completion_tokens=one.completion_tokens,
            )
            for one, state, acting in zip(made, states, edits, strict=True)
        ]

    def edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        (outcome,) = self.edit_many([(request, options)]).outcomes
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def edit_many(self, items: Sequence[EditItem], on_item: OnItem | None = None) -> BatchResult:
        with self._place():
            outcomes = self.writer.edit_many(items, on_item)
        return BatchResult(tuple(outcomes), self.registry.refresh().revision)

    def rollback(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RollbackResult:
        def draft(state: State) -> Draft:
            self.registry.event(edit_id)
            if state.status(edit_id) == "rolled_back":
                raise EditNotActive(f"{edit_id} is not active: it was rolled back before")
            return Draft(kind="rollback", edit_id=edit_id, actor=actor, reason=reason)

        return self._take_back(draft, if_match)

    def restore(self, to_revision: int, actor: str, reason: str | None, if_match: int | None) -> RollbackResult:
        def draft(_state: State) -> Draft:
            self.registry.state(to_revision)
            return Draft(kind="restore", to=to_revision, actor=actor, reason=reason)

        return self._take_back(draft, if_match)

    def amend(
        self, edit_id: str, added: Amendment, actor: str, reason: str | None, if_match: int | None
    ) -> EditDetails:
        """Give an edit that stands further wordings; its factors stay as they are.

        Raises:
            UnknownEdit, EditNotActive, EditRedacted, InvalidEdit, RevisionMoved
        """

        def draft(state: State) -> Draft:
            self.registry.event(edit_id)
            if (status := state.status(edit_id)) == "rolled_back":
                raise EditNotActive(f"{edit_id} is {status}; only an edit that stands can get further wordings")
            self.registry.check_amendment(edit_id, added, state)
            wordings = {"rephrases": list(added.rephrases), "locality": list(added.locality)}
            return Draft(kind="amend", edit_id=edit_id, actor=actor, reason=reason, request=wordings)

        self.writer.record(draft, if_match)
        return listing.details(self.registry, edit_id)

    def match(self, queries: Sequence[GenerateQuery], k: int, revision: int | None = None) -> MatchResult:
        state = self.registry.state(revision)
        abouts = [self.prompts.about(query) for query in queries]
        return MatchResult(tuple(listing.matched(self.registry, about, state, k) for about in abouts), state.revision)

    def edits(self, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage:
        return listing.page(self.registry, status, limit, cursor)

    def edit_by_id(self, edit_id: str) -> EditDetails:
        return listing.details(self.registry, edit_id)

    def log(self, after: int, limit: int) -> Sequence[Event]:
        return [event_json(event) for event in self.registry.ledger.events(after, limit)]

    def verify_log(self, noted: NotedRoot | None = None) -> LogVerification:
        return verified(self.registry.verify(), self.registry.health.damaged(), noted)

    def log_root(self, tree_size: int | None = None) -> LogRoot:
        return self.tree.root(tree_size)

    def log_inclusion(self, seq: int, tree_size: int | None = None) -> InclusionProof:
        return self.tree.inclusion(seq, tree_size)

    def log_consistency(self, first: int, second: int | None = None) -> ConsistencyProof:
        return self.tree.consistency(first, second)

    def redact(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RedactResult:
        def draft(state: State) -> Draft:
            self.registry.event(edit_id)
            if (status := state.status(edit_id)) != "rolled_back":
                raise NotRedactable(f"{edit_id} is {status}, and its texts are needed for that; roll it back first")
            return Draft(kind="redact", edit_id=edit_id, actor=actor, reason=reason)

        _, event = self.writer.record(draft, if_match)
        return RedactResult(event.seq, edit_id, event.at, event.actor, event.reason)

    def retrieve(self, query: str, k: int, search: SearchOptions = PLAIN) -> RetrievalResult:
        (found,) = self.retrieve_many([query], k, search)
        return found

    def retrieve_many(self, queries: Sequence[str], k: int, search: SearchOptions = PLAIN) -> Sequence[RetrievalResult]:
        with self._place():
            return self.search.retrieve(queries, k, search)

    def ask(self, query: AskQuery, on_text: OnPiece | None = None) -> AskAnswer:
        with self._place():
            return self.answerer.ask(query, on_text)

    def indexes(self) -> Sequence[IndexInfo]:
        return self.index_manager.list()

    def activate(self, version: str) -> IndexInfo:
        return self.index_manager.activate(version)

    def model(self) -> ModelInfo:
        state = self.registry.refresh()
        return ModelInfo(
            base_model=self.base.name,
            base_digest=self.base.digest,
            editor=self.editor.name if self.editor else None,
            editor_digest=self.editor.digest if self.editor else None,
            edited_layers=self.editor.layers if self.editor else (),
            revision=state.revision,
            active_edits=len(state.active),
            damaged_edits=len(self._damaged(state)),
        )

    def readiness(self) -> Readiness:
        missing, damaged = [], tuple[Damage, ...]()
        try:
            damaged = self._damaged(self.registry.refresh())
        except Exception as error:  # whatever it is, the ledger cannot be used
            missing.append(MissingPart("ledger", str(error)))
        if not self.index_manager.is_open:
            missing.append(MissingPart("index", self.index_manager.why_not))
        return Readiness(not missing, tuple(missing), damaged)

    def _damaged(self, state: State) -> tuple[Damage, ...]:
        """Edits that stand, and could not be served."""
        damaged = self.registry.health.damaged()
        standing = frozenset(state.applied) if damaged else frozenset()
        return tuple(damage for damage in damaged if damage.edit_id in standing)

    def _take_back(self, draft: Callable[[State], Draft], if_match: int | None) -> RollbackResult:
        before, event = self.writer.record(draft, if_match)
        after = self.registry.state(event.seq)
        standing = frozenset(after.applied)
        gone = tuple(i for i in before.applied if i not in standing)
        return RollbackResult(after.revision, after.active, gone)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Overloaded("too many requests are waiting for the model; try again in a moment", 2)
        try:
            yield
        finally:
            self._places.release()

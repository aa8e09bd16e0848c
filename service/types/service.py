"""``Service``: everything that the HTTP edge asks for. ``service/pipeline.py`` fulfils it.

Every method is synchronous and thread-safe; routes call it from a worker thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from editing.edit import EditRequest
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
from service.types.generation import Answer, GenerateQuery, OnPiece
from service.types.log import ConsistencyProof, InclusionProof, LogRoot, LogVerification, NotedRoot, RedactResult


@dataclass(frozen=True)
class ModelInfo:
    """What is being served."""

    base_model: str
    base_digest: str
    editor: str | None
    editor_digest: str | None
    edited_layers: tuple[str, ...]
    revision: int
    active_edits: int
    damaged_edits: int = 0


@dataclass(frozen=True)
class MissingPart:
    """A part that is not usable yet: ``what`` is "model", "index" or "ledger"."""

    what: str
    why: str


@dataclass(frozen=True)
class Readiness:
    """Whether every part is usable, and if not, which are missing; ``damaged`` edits stop their own prompts only."""

    ready: bool
    missing: tuple[MissingPart, ...] = ()
    damaged: tuple[Damage, ...] = ()


class Service(Protocol):
    """Everything that the HTTP edge asks for. Raises what editing.errors, index.errors and service.errors define."""

    def generate(self, query: GenerateQuery, on_text: OnPiece | None = None) -> Answer: ...
    def edit(self, request: EditRequest, options: EditOptions) -> EditResult: ...
    def edit_many(self, items: Sequence[EditItem], on_item: OnItem | None = None) -> BatchResult: ...
    def rollback(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RollbackResult: ...
    def restore(self, to_revision: int, actor: str, reason: str | None, if_match: int | None) -> RollbackResult: ...
    def amend(
        self, edit_id: str, added: Amendment, actor: str, reason: str | None, if_match: int | None
    ) -> EditDetails: ...
    def match(self, queries: Sequence[GenerateQuery], k: int, revision: int | None = None) -> MatchResult: ...
    def edits(self, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage: ...
    def edit_by_id(self, edit_id: str) -> EditDetails: ...
    def log(self, after: int, limit: int) -> Sequence[Event]: ...
    def verify_log(self, noted: NotedRoot | None = None) -> LogVerification: ...
    def log_root(self, tree_size: int | None = None) -> LogRoot: ...
    def log_inclusion(self, seq: int, tree_size: int | None = None) -> InclusionProof: ...
    def log_consistency(self, first: int, second: int | None = None) -> ConsistencyProof: ...
    def redact(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RedactResult: ...
    def retrieve(self, query: str, k: int, search: SearchOptions = PLAIN) -> RetrievalResult: ...
    def retrieve_many(
        self, queries: Sequence[str], k: int, search: SearchOptions = PLAIN
    ) -> Sequence[RetrievalResult]: ...
    def ask(self, query: AskQuery, on_text: OnPiece | None = None) -> AskAnswer: ...
    def indexes(self) -> Sequence[IndexInfo]: ...
    def activate(self, version: str) -> IndexInfo: ...
    def model(self) -> ModelInfo: ...
    def readiness(self) -> Readiness: ...

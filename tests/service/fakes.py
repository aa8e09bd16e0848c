"""A real class in the place of the service: canned answers, and a record of what was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from editing.edit import EditRequest
from editing.errors import EditNotActive, LedgerConflict, NotRedactable, UnknownEdit, UnknownRevision
from index.errors import UnknownIndex
from service.errors import ChecksFailed, ClientGone
from service.types.answers import (
    AskAnswer,
    AskQuery,
    IndexInfo,
    RetrievalResult,
    RetrievedPassage,
    SearchOptions,
    UsedPassage,
)
from service.types.edits import (
    Amendment,
    BatchResult,
    ConsideredEdit,
    EditDetails,
    EditItem,
    EditOptions,
    EditRecord,
    EditResult,
    EditsPage,
    Event,
    MatchResult,
    OnItem,
    PromptMatch,
    RollbackResult,
    StatusFilter,
)
from service.types.generation import Answer, GenerateQuery, OnPiece, UsedEdit
from service.types.log import ConsistencyProof, InclusionProof, LogRoot, LogVerification, NotedRoot, RedactResult
from service.types.service import MissingPart, ModelInfo, Readiness

EDIT = "ed_7f3k2m9qx1ab"
AT = "2025-01-31T12:00:00Z"
REPORT: dict[str, Any] = {
    "before": "Sydney",
    "after": "Canberra",
    "efficacy": True,
    "generalization": {"passed": 1, "total": 1, "cases": [{"prompt": "p", "answer": "Canberra", "match": "exact"}]},
    "locality": {"unchanged": 1, "total": 1, "cases": [{"prompt": "q", "before": "W", "after": "W", "match": "exact"}]},
    "compute_ms": 12.5,
    "verify_ms": 30.0,
}
EVENT: Event = {
    "seq": 1,
    "kind": "apply",
    "edit_id": EDIT,
    "to": None,
    "actor": "ada",
    "reason": None,
    "at": AT,
    "prev_hash": "0" * 64,
    "hash": "a" * 64,
    "redacted": False,
}
PASSAGE = RetrievedPassage("4689264:0", "Australia", "Its capital is Canberra.", 0.71, 1, "wikipedia")
REQUEST = EditRequest("What is the capital of Australia?", "Canberra")
SHOWN: dict[str, Any] = {
    "id": EDIT,
    "revision": 1,
    "status": "active",
    "created_at": AT,
    "actor": "ada",
    "request": REQUEST,
    "report": REPORT,
}
RECORD = EditRecord(**SHOWN)
DETAILS = EditDetails(**SHOWN, events=(EVENT,))


class FakeService:
    """Answers ``pieces`` one by one. ``fails`` maps a method's name to the error that it raises."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, Exception] = {}
        self.pieces: tuple[str, ...] = ("Can", "berra")
        self.between: Callable[[int], object] = lambda piece: None  # called after each piece
        self.stopped = threading.Event()  # a client left and the generation learned of it
        self.ready = Readiness(True)
        self.replayed = False
        self.whole_log = True

    def _asked(self, name: str, *what: Any) -> None:
        self.calls.append((name, *what))
        if name in self.fails:
            raise self.fails[name]

    def _speak(self, on_text: OnPiece | None) -> None:
        for number, piece in enumerate(self.pieces):
            try:
                (on_text or str)(piece)
            except ClientGone:
                self.stopped.set()
                raise
            self.between(number)
        if "after" in self.fails:
            raise self.fails["after"]

    def generate(self, query: GenerateQuery, on_text: OnPiece | None = None) -> Answer:
        self._asked("generate", query)
        self._speak(on_text)
        return Answer(
            "".join(self.pieces), "stop", query.revision or 4, (UsedEdit(EDIT, "asks"),), 38, len(self.pieces)
        )

    def ask(self, query: AskQuery, on_text: OnPiece | None = None) -> AskAnswer:
        self._asked("ask", query)
        self._speak(on_text)
        used = (UsedPassage(PASSAGE, cited=True),)
        return AskAnswer("Canberra", used, "stop", 4, (UsedEdit(EDIT, "asks"),), "v1", query.mode, 90, 2)

    def edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        self._asked("edit", request, options)
        if options.if_match not in (None, 4):
            raise LedgerConflict(options.if_match, 4)
        if request.output == "wrong" and not options.force:
            raise ChecksFailed({**REPORT, "efficacy": False})
        made = EditResult(EDIT, 5, "active", AT, options.actor, request, REPORT, options.reason, ("ed_old",))
        if options.dry_run:
            return replace(made, id=None, revision=4)
        return replace(made, replayed=self.replayed)

    def edit_many(self, items: Sequence[EditItem], on_item: OnItem | None = None) -> BatchResult:
        """As ``edit``, one by one; after each the client may have gone."""
        self._asked("edit_many", items)
        outcomes: list[EditResult | Exception] = []
        for place, (request, options) in enumerate(items):
            try:
                outcomes.append(self.edit(request, options))
            except Exception as error:
                outcomes.append(error)
            try:
                if on_item:
                    on_item(place, outcomes[-1])
            except ClientGone:
                self.stopped.set()
                raise
            self.between(place)
        return BatchResult(tuple(outcomes), 5)

    def rollback(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RollbackResult:
        self._asked("rollback", edit_id, actor, reason, if_match)
        if edit_id == "ed_done":
            raise EditNotActive("edit ed_done was rolled back at revision 2")
        if edit_id != EDIT:
            raise UnknownEdit(f"there is no edit {edit_id}")
        return RollbackResult(6, ("ed_other",), (EDIT,))

    def restore(self, to_revision: int, actor: str, reason: str | None, if_match: int | None) -> RollbackResult:
        self._asked("restore", to_revision, actor, reason, if_match)
        if to_revision > 5:
            raise UnknownRevision(f"there is no revision {to_revision}; the head is 5")
        return RollbackResult(6, (), (EDIT, "ed_other"))

    def amend(
        self, edit_id: str, added: Amendment, actor: str, reason: str | None, if_match: int | None
    ) -> EditDetails:
        self._asked("amend", edit_id, added, actor, reason, if_match)
        if edit_id != EDIT:
            raise UnknownEdit(f"there is no edit {edit_id}")
        return DETAILS

    def match(self, queries: Sequence[GenerateQuery], k: int, revision: int | None = None) -> MatchResult:
        self._asked("match", queries, k, revision)
        one = ConsideredEdit(EDIT, 2.5, "asks", "What is the capital of Australia?", "it asks the same")
        return MatchResult((PromptMatch(EDIT, "asks", (one,)),) * len(queries), revision or 5)

    def edits(self, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage:
        self._asked("edits", status, limit, cursor)
        return EditsPage((RECORD,), "next", 5)

    def edit_by_id(self, edit_id: str) -> EditDetails:
        self._asked("edit_by_id", edit_id)
        if edit_id != EDIT:
            raise UnknownEdit(f"there is no edit {edit_id}")
        return DETAILS

    def log(self, after: int, limit: int) -> Sequence[Event]:
        self._asked("log", after, limit)
        return [EVENT][:limit] if after < 1 else []

    def verify_log(self, noted: NotedRoot | None = None) -> LogVerification:
        self._asked("verify_log", noted)
        return LogVerification(True, 5, "a" * 64) if self.whole_log else LogVerification(False, 5, "b", 3, "changed")

    def log_root(self, tree_size: int | None = None) -> LogRoot:
        self._asked("log_root", tree_size)
        return LogRoot(self._size(tree_size), "b" * 64, "a" * 64, AT)

    def log_inclusion(self, seq: int, tree_size: int | None = None) -> InclusionProof:
        self._asked("log_inclusion", seq, tree_size)
        size = self._size(tree_size)
        return InclusionProof(self._size(seq), size, seq - 1, "a" * 64, "c" * 64, "b" * 64, ("d" * 64,))

    def log_consistency(self, first: int, second: int | None = None) -> ConsistencyProof:
        self._asked("log_consistency", first, second)
        return ConsistencyProof(self._size(first), self._size(second), "b" * 64, "c" * 64, ("d" * 64,))

    def redact(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> RedactResult:
        self._asked("redact", edit_id, actor, reason, if_match)
        if edit_id == "ed_active":
            raise NotRedactable("ed_active is active; roll it back first")
        if edit_id != EDIT:
            raise UnknownEdit(f"there is no edit {edit_id}")
        return RedactResult(6, edit_id, AT, actor, reason)

    def _size(self, size: int | None) -> int:
        if size is not None and size > 5:
            raise UnknownRevision(f"no tree of {size} events: the log has 5")
        return 5 if size is None else size

    def retrieve(self, query: str, k: int, *search: SearchOptions) -> RetrievalResult:
        self._asked("retrieve", query, k, *search)
        return RetrievalResult((PASSAGE,), "v1")

    def retrieve_many(self, queries: Sequence[str], k: int, *search: SearchOptions) -> Sequence[RetrievalResult]:
        self._asked("retrieve_many", queries, k, *search)
        return [RetrievalResult((PASSAGE,), "v1", "hybrid") for _ in queries]

    def indexes(self) -> Sequence[IndexInfo]:
        self._asked("indexes")
        return [IndexInfo("v1", 10033, 384, "IndexFlatIP", AT, active=True)]

    def activate(self, version: str) -> IndexInfo:
        self._asked("activate", version)
        if version != "v1":
            raise UnknownIndex(version)
        return self.indexes()[0]

    def model(self) -> ModelInfo:
        self._asked("model")
        return ModelInfo("smol", "c" * 64, "mend", "d" * 64, ("model.layers.27.mlp.down_proj",), 5, 2)

    def readiness(self) -> Readiness:
        self._asked("readiness")
        return self.ready

    def not_ready(self) -> None:
        self.ready = Readiness(False, (MissingPart("index", "10 of 40 shards are embedded"),))

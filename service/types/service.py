"""What the service can do, as values: queries, results, and the protocol that ``service/pipeline.py`` fulfils.

The HTTP edge knows nothing but this file. Every method is synchronous and thread-safe;
routes call it from a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from editing.edit import EditRequest
from retrieval.search.retriever import DEFAULT, How
from service.engines.protocol import FinishReason, SamplingParams

Role = Literal["system", "user", "assistant"]
EditStatus = Literal["active", "rolled_back", "superseded"]
StatusFilter = Literal["active", "rolled_back", "superseded", "all"]
Mode = Literal["concat", "sequence", "token"]
Decoding = Literal["thorough", "fast"]
EditChoice = Literal["active", "none"] | tuple[str, ...]  # the edits in force, no edits, or exactly these
OnPiece = Callable[[str], None]  # may raise service.errors.ClientGone: generation stops and lets it through
Report = Mapping[str, Any]  # ``report`` of an edit in the JSON form of the contract
Event = Mapping[str, Any]  # one ledger event in the JSON form of the contract


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class GenerateQuery:
    """Exactly one of ``prompt`` and ``messages`` is given. ``raw`` goes with ``prompt`` only."""

    params: SamplingParams
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    raw: bool = False
    revision: int | None = None
    edits: EditChoice = "active"


@dataclass(frozen=True)
class Answer:
    """A generated text, the revision it was made at and the edits that were in scope."""

    text: str
    finish_reason: FinishReason
    revision: int
    edits_used: tuple[str, ...]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class EditOptions:
    """How an edit is to be made.

    Attributes:
        if_match: the revision that the head must have, or None when any will do.
        fingerprint: digest of the request body; the same ``idempotency_key`` with another fingerprint is refused.
    """

    actor: str
    reason: str | None = None
    dry_run: bool = False
    force: bool = False
    if_match: int | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class EditResult:
    """A made (or, with ``id`` None, a rehearsed) edit; ``revision`` is its event's, or the head's for a dry run."""

    id: str | None
    revision: int
    status: EditStatus
    created_at: str  # RFC 3339, UTC
    actor: str
    request: EditRequest
    report: Report
    reason: str | None = None
    supersedes: tuple[str, ...] = ()
    replayed: bool = False  # the first answer again, because the idempotency key was seen before


EditItem = tuple[EditRequest, EditOptions]
Outcome = EditResult | Exception  # of one item; the errors are those that ``edit`` raises
OnItem = Callable[[int, Outcome], None]  # (place in the batch, what became of it); may raise ClientGone, as OnPiece


@dataclass(frozen=True)
class BatchResult:
    """What became of each item, and the head afterwards."""

    outcomes: tuple[Outcome, ...]
    revision: int


@dataclass(frozen=True)
class EditRecord:
    """An edit as the log knows it. ``events`` and ``damaged`` are filled by ``edit_by_id`` only."""

    id: str
    revision: int
    status: EditStatus
    created_at: str
    actor: str
    request: EditRequest | Mapping[str, Any]  # of a redacted edit what is left, with nulls for its texts
    report: Report
    reason: str | None = None
    supersedes: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    damaged: bool = False
    redacted: bool = False


@dataclass(frozen=True)
class EditsPage:
    """``next_cursor`` is opaque to clients; None on the last page. ``revision`` is the head the page was read at."""

    edits: tuple[EditRecord, ...]
    next_cursor: str | None
    revision: int


@dataclass(frozen=True)
class RollbackResult:
    """The state after a rollback or a restore."""

    revision: int
    active: tuple[str, ...]
    rolled_back: tuple[str, ...]


@dataclass(frozen=True)
class RetrievedPassage:
    """A passage with its place in the result (``rank`` counts from 1)."""

    id: str
    title: str
    text: str
    score: float
    rank: int
    source: str
    inner_product: float | None = None


@dataclass(frozen=True)
class RetrievalResult:
    """Passages in order of score, the version of the index that gave them, and the kind of search that it was."""

    passages: tuple[RetrievedPassage, ...]
    index: str
    how: How | None = None


@dataclass(frozen=True)
class SearchOptions:
    """How passages are looked for. ``titles`` and ``sources`` restrict what may be found, unless they are empty."""

    how: How = DEFAULT
    titles: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    rerank: bool = False


PLAIN = SearchOptions()


@dataclass(frozen=True)
class AskQuery:
    """A question that is answered from passages."""

    question: str
    params: SamplingParams
    k: int = 5
    mode: Mode = "concat"
    revision: int | None = None
    edits: EditChoice = "active"
    decoding: Decoding = "thorough"


@dataclass(frozen=True)
class UsedPassage:
    """A passage that was read for an answer.

    Attributes:
        cited: the answer rests on it.
        weight: p(z | x, y), how much of the answer's probability comes from it; in the modes that marginalise.
        prior: p(z | x), before the answer was known; in the same modes.
        overruled: it says something else than the edit that gave the answer.
    """

    passage: RetrievedPassage
    cited: bool
    weight: float | None = None
    prior: float | None = None
    overruled: bool = False


@dataclass(frozen=True)
class AskAnswer:
    """An answer and what it rests on.

    Attributes:
        supported: an edit in force or a passage gives the answer; otherwise it says that it is not in the index.
        passages_say: what the passages answer, where an edit overrules them.
        quoted: the answer is the sentences that are nearest to the question, because no few words of them are certain.
    """

    answer: str
    passages: tuple[UsedPassage, ...]
    finish_reason: FinishReason
    revision: int
    edits_used: tuple[str, ...]
    index: str
    mode: Mode
    prompt_tokens: int
    completion_tokens: int
    supported: bool = True
    passages_say: str | None = None
    quoted: bool = False


@dataclass(frozen=True)
class IndexInfo:
    """One version of the index. ``dimension`` is that of the vectors, ``type`` FAISS's name of the index."""

    version: str
    passages: int
    dimension: int
    type: str
    built_at: str
    active: bool


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
    def edits(self, status: StatusFilter, limit: int, cursor: str | None) -> EditsPage: ...
    def edit_by_id(self, edit_id: str) -> EditRecord: ...
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


@dataclass(frozen=True)
class Damage:
    """``seq`` is the event that applied the edit, ``why`` says what is wrong with its file."""

    edit_id: str
    seq: int
    why: str


@dataclass(frozen=True)
class NotedRoot:
    """A root that somebody noted down earlier."""

    tree_size: int
    root_hash: str


@dataclass(frozen=True)
class LogRoot:
    """The tree over the first ``tree_size`` events; ``head_hash`` and ``at`` are of the last of them."""

    tree_size: int
    root_hash: str
    head_hash: str
    at: str | None


@dataclass(frozen=True)
class InclusionProof:
    """That event ``seq`` of this hash is leaf ``leaf_index`` of the tree (2.1.1). ``proof`` goes from leaf to root."""

    seq: int
    tree_size: int
    leaf_index: int
    event_hash: str
    leaf_hash: str
    root_hash: str
    proof: tuple[str, ...]


@dataclass(frozen=True)
class ConsistencyProof:
    """That the tree of ``second`` events begins with that of ``first`` (2.1.2)."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: tuple[str, ...]


@dataclass(frozen=True)
class LogVerification:
    """Whether the log is whole.

    Attributes:
        first_bad_seq, why: set when ``ok`` is false; the first is None where only the noted root does not fit.
        damaged: all edits without whole factors.
        merkle_root: of the tree over the events that follow each other.
        extends: whether the log begins with the one noted down, if one was given.
    """

    ok: bool
    events: int
    head_hash: str
    first_bad_seq: int | None = None
    why: str | None = None
    damaged: tuple[Damage, ...] = ()
    merkle_root: str | None = None
    extends: bool | None = None


@dataclass(frozen=True)
class RedactResult:
    """The redaction as it was recorded."""

    revision: int
    edit_id: str
    at: str
    actor: str
    reason: str | None

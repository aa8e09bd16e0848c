"""What clients may send. Unknown fields are refused, types are strict, and every text can be written as UTF-8."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from editing.edit import EditRequest, Scope
from retrieval.search.retriever import DEFAULT, How
from service.engines.protocol import SamplingParams
from service.types import (
    AskQuery,
    Decoding,
    EditChoice,
    GenerateQuery,
    Message,
    Mode,
    Role,
    SearchOptions,
    StatusFilter,
)

INT64 = 2**63 - 1
MAX_IDS, MAX_ID = 1000, 200
MAX_RERANKED = 100  # passages that a cross-encoder reads for one query


def writable(text: str) -> str:
    """Refuses lone surrogates, which no tokenizer and no disk takes, and NUL, which PostgreSQL refuses."""
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must not contain lone surrogates (an unpaired \\ud800 … \\udfff escape)")
    return text


def worded(text: str) -> str:
    """Refuses texts of nothing but white space."""
    if not text.strip():
        raise ValueError("must not be empty or white space only")
    return text


def digits(text: Any) -> Any:
    """Integers in query strings are written in digits; "" counts as not given."""
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise ValueError("must be an integer written in digits")
    return text


def edit_choice(value: Any) -> Any:
    """One message for the whole field instead of one for each branch of the union."""
    if isinstance(value, list):
        if len(value) > MAX_IDS:
            raise ValueError(f"must name at most {MAX_IDS} edits")
        if all(isinstance(item, str) and item.strip() and len(item) <= MAX_ID for item in value):
            return [writable(item) for item in value]
    elif value in ("active", "none"):
        return value
    raise ValueError('must be "active", "none" or a list of edit ids')


Text = Annotated[str, AfterValidator(writable)]
Worded = Annotated[Text, AfterValidator(worded)]
Name = Annotated[Text, Field(max_length=2000)]
EditId = Annotated[Worded, Field(max_length=MAX_ID, examples=["ed_7f3k2m9qx1ab"])]
Digits = Annotated[int, BeforeValidator(digits)]
Choice = Annotated[
    Literal["active", "none"] | list[str],
    BeforeValidator(edit_choice),
    Field(
        description="Which edits act: `active` (in force and in scope), `none`, or a list of edit ids: exactly these.",
        examples=["active", "none", ["ed_7f3k2m9qx1ab"]],
    ),
]
Revision = Annotated[
    int, Field(ge=0, le=INT64, description="Answer as of this revision (0 = the base model); null = now.", examples=[3])
]
Reason = Annotated[Text, Field(max_length=2000, description="Kept in the log.", examples=["ticket 4711"])]
Question = "What is the capital of Australia?"


class Strict(BaseModel):
    """Root of all request bodies."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Sampling(Strict):
    """How to decode."""

    max_tokens: int = Field(64, ge=1, le=2**17, description="Stop after this many tokens (`finish_reason: length`).")
    temperature: float = Field(0.0, ge=0, description="0 is greedy: the same answer each time.")
    top_p: float = Field(1.0, gt=0, le=1, description="Sample from the likeliest tokens that together have this mass.")
    seed: int | None = Field(None, ge=-INT64 - 1, le=INT64, description="Makes a sampled answer repeatable.")
    stop: list[Annotated[Text, Field(min_length=1, max_length=1000)]] = Field(
        default_factory=list, max_length=16, description="The text ends before the first of these.", examples=[["\n\n"]]
    )

    def params(self) -> SamplingParams:
        return SamplingParams(self.max_tokens, float(self.temperature), float(self.top_p), self.seed, tuple(self.stop))


class ChatMessage(Strict):
    """One turn of a conversation."""

    role: Role = Field(description="`system`, `user` or `assistant`.", examples=["user"])
    content: Worded = Field(description="What was said.", examples=[Question])


class GenerateRequest(Sampling):
    """Exactly one of `prompt` and `messages`."""

    prompt: Worded | None = Field(
        None, description="A question, or with `raw` a text to continue.", examples=[Question]
    )
    messages: list[ChatMessage] | None = Field(
        None, min_length=1, max_length=1000, description="A conversation; the last message is the user's."
    )
    raw: bool = Field(False, description="Continue `prompt` as it stands, without the chat template.")
    stream: bool = Field(False, description="Answer with server-sent events.")
    revision: Revision | None = None
    edits: Choice = "active"

    @model_validator(mode="after")
    def one_of_prompt_and_messages(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give exactly one of prompt and messages")
        if self.messages is not None:
            if self.raw:
                raise ValueError("raw continues a prompt; it cannot be combined with messages")
            if self.messages[-1].role != "user":
                raise ValueError("the last of messages must have the role user")
        return self

    def query(self) -> GenerateQuery:
        messages = None if self.messages is None else tuple(Message(m.role, m.content) for m in self.messages)
        return GenerateQuery(self.params(), self.prompt, messages, self.raw, self.revision, chosen(self.edits))


class EditBody(Strict):
    """A correction: an input and the output that it should have had."""

    input: Worded = Field(description="The question as a user types it.", examples=[Question])
    output: Worded = Field(description="The answer it should have had.", examples=["Canberra"])
    raw: bool = Field(False, description="Continue the texts as they stand, without the chat template.")
    rephrases: list[Worded] = Field(
        default_factory=list,
        max_length=64,
        description="Other wordings of the input: must hold after the edit.",
        examples=[["Name Australia's capital city."]],
    )
    locality: list[Worded] = Field(
        default_factory=list,
        max_length=64,
        description="Prompts whose answers must not change.",
        examples=[["What is the capital of New Zealand?"]],
    )
    scope: Scope = Field(
        "matched", description="`matched`: acts on prompts that ask the same thing; `global`: acts on every prompt."
    )
    reason: Reason | None = None
    dry_run: bool = Field(False, description="Compute and report, record nothing.")
    force: bool = Field(False, description="Record the edit even if its checks fail.")

    def request(self) -> EditRequest:
        return EditRequest(self.input, self.output, self.raw, tuple(self.rephrases), tuple(self.locality), self.scope)

    def fingerprint(self) -> str:
        """Digest of what the body says: the order of its fields, white space and defaults written out do not count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class BatchBody(Strict):
    """Corrections that are made in order."""

    edits: list[EditBody] = Field(min_length=1, max_length=1000, description="Each as for `POST /edit`.")
    stream: bool = Field(False, description="Answer with server-sent events, an item as soon as it is done.")


class RollbackBody(Strict):
    """Exactly one of `edit_id` and `to_revision`."""

    edit_id: EditId | None = Field(None, description="Take back this one edit, wherever it stands in the order.")
    to_revision: Annotated[int, Field(ge=0, le=INT64)] | None = Field(
        None, description="Return to the state as of this revision.", examples=[3]
    )
    reason: Reason | None = None

    @model_validator(mode="after")
    def one_of_edit_id_and_to_revision(self) -> Self:
        if (self.edit_id is None) == (self.to_revision is None):
            raise ValueError("give exactly one of edit_id and to_revision")
        return self


class RetrieveBody(Strict):
    """A search in the passages; exactly one of `query` and `queries`."""

    query: Worded | None = Field(None, description="What to look for.", examples=["capital of Australia"])
    queries: list[Worded] | None = Field(
        None, min_length=1, max_length=100, description="Many, searched in one pass; the reply has `results`."
    )
    k: int = Field(5, ge=1, le=1000, description="How many passages.")
    how: How = Field(
        DEFAULT,
        description="`dense`: by meaning, the inner product of vectors. `bm25`: by words. `hybrid`: both rankings, "
        "fused by reciprocal rank.",
    )
    titles: list[Name] = Field(default_factory=list, max_length=1000, description="Only passages of these articles.")
    sources: list[Name] = Field(default_factory=list, max_length=1000, description="Only passages from there.")
    rerank: bool = Field(
        False,
        description=f"Let the cross-encoder (`ERRATA_RERANKER`) order the best; `k` is at most {MAX_RERANKED} then.",
    )

    @model_validator(mode="after")
    def one_of_query_and_queries(self) -> Self:
        if (self.query is None) == (self.queries is None):
            raise ValueError("give exactly one of query and queries")
        if self.rerank and self.k > MAX_RERANKED:
            raise ValueError(f"with rerank, k is at most {MAX_RERANKED}")
        return self

    def search(self) -> SearchOptions:
        return SearchOptions(self.how, tuple(self.titles), tuple(self.sources), self.rerank)


class AskBody(Sampling):
    """A question that is answered from passages."""

    question: Worded = Field(description="The question.", examples=[Question])
    max_tokens: int = Field(
        128, ge=1, le=2**17, description="The answer has at most this many tokens (`finish_reason: length`)."
    )
    k: int = Field(5, ge=1, le=1000, description="How many passages to give to the model.")
    mode: Mode = Field(
        "concat",
        description="`concat`: all passages in one prompt. `sequence`, `token`: each passage in a prompt of its own, "
        "marginalised over as RAG-Sequence and RAG-Token (Lewis et al. 2020), by beam search. A trained reader gets "
        "only the sentences that are nearest to the question.",
    )
    decoding: Decoding = Field(
        "thorough", description="Of RAG-Sequence: `thorough`, or `fast`, which scores an answer by its own beams only."
    )
    stream: bool = Field(False, description="Answer with server-sent events.")
    revision: Revision | None = None
    edits: Choice = "active"

    @model_validator(mode="after")
    def searched_or_sampled(self) -> Self:
        if self.mode != "concat" and self.temperature > 0:
            raise ValueError(f"mode {self.mode} searches for the likeliest answer: temperature must be 0")
        return self

    def query(self) -> AskQuery:
        return AskQuery(
            self.question, self.params(), self.k, self.mode, self.revision, chosen(self.edits), self.decoding
        )


class EditsParameters(BaseModel):
    """Query of `GET /edits`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    status: StatusFilter = Field("active", description="Which edits to list.")
    limit: Digits = Field(100, ge=1, le=1000, description="Edits per page.")
    cursor: Annotated[Text, Field(max_length=1000)] | None = Field(
        None, description="`next_cursor` of the page before."
    )


def chosen(edits: Literal["active", "none"] | list[str]) -> EditChoice:
    """The use-cases' form of ``edits``; naming an edit twice means it once."""
    return tuple(dict.fromkeys(edits)) if isinstance(edits, list) else edits

"""What clients may send. Unknown fields are refused, types are strict, and every text can be written as UTF-8."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from editing.edit import EditRequest, Scope
from retrieval.search.retriever import DEFAULT, How
from service.api.schemas.fields import (
    INT64,
    Choice,
    Digits,
    EditId,
    Name,
    NonBlankText,
    Question,
    Reason,
    Revision,
    Text,
)
from service.engines.protocol import SamplingParams
from service.types.answers import AskQuery, Decoding, Mode, SearchOptions
from service.types.edits import Amendment, EditChoice, EditOptions, StatusFilter
from service.types.generation import GenerateQuery, Message, Role

MAX_RERANKED = 100  # passages that a cross-encoder reads for one query


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
    content: NonBlankText = Field(description="What was said.", examples=[Question])


class GenerateRequest(Sampling):
    """Exactly one of `prompt` and `messages`."""

    prompt: NonBlankText | None = Field(
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


_FIELDS_0_1 = {"input", "output", "raw", "rephrases", "locality", "scope", "reason", "dry_run", "force"}


class EditBody(Strict):
    """A correction: an input and the output that it should have had."""

    input: NonBlankText = Field(description="The question as a user types it.", examples=[Question])
    output: NonBlankText = Field(description="The answer it should have had.", examples=["Canberra"])
    raw: bool = Field(False, description="Continue the texts as they stand, without the chat template.")
    rephrases: list[NonBlankText] = Field(
        default_factory=list,
        max_length=64,
        description="Other wordings of the input: must hold after the edit.",
        examples=[["Name Australia's capital city."]],
    )
    locality: list[NonBlankText] = Field(
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

    def options(self, actor: str, if_match: int | None, idempotency_key: str | None) -> EditOptions:
        """How the edit is to be made; the rest comes from the request's headers."""
        return EditOptions(
            actor=actor,
            reason=self.reason,
            dry_run=self.dry_run,
            force=self.force,
            if_match=if_match,
            idempotency_key=idempotency_key,
            fingerprint=self.fingerprint(),
            former_fingerprints=(self._fingerprint_0_1(),),
        )

    def fingerprint(self) -> str:
        """Digest of what the body says: the order of its fields, white space and defaults written out do not count.

        Only fields with another value than the default are hashed, so that a field added later leaves it as it is.
        """
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    def _fingerprint_0_1(self) -> str:
        """As release 0.1 recorded it: of all fields that there were then."""
        return hashlib.sha256(self.model_dump_json(include=_FIELDS_0_1).encode()).hexdigest()


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


class AmendBody(Strict):
    """Wordings that an edit in force answers to, or leaves alone, from now on."""

    add_rephrases: list[NonBlankText] = Field(
        default_factory=list,
        max_length=64,
        description="Prompts that ask the same, and were missed.",
        examples=[["Which city is Australia governed from?"]],
    )
    add_locality: list[NonBlankText] = Field(
        default_factory=list,
        max_length=64,
        description="Prompts that ask something else, and were answered with the output.",
        examples=[["What was the capital of Australia in 1901?"]],
    )
    reason: Reason | None = None

    @model_validator(mode="after")
    def something_added(self) -> Self:
        if not self.add_rephrases and not self.add_locality:
            raise ValueError("give add_rephrases, add_locality, or both")
        return self

    def amendment(self) -> Amendment:
        return Amendment(tuple(self.add_rephrases), tuple(self.add_locality))


class MatchBody(Strict):
    """Prompts, or one conversation, whose edits are wanted; nothing is generated."""

    prompts: list[NonBlankText] | None = Field(
        None, min_length=1, max_length=256, description="Prompts, each by itself.", examples=[[Question]]
    )
    messages: list[ChatMessage] | None = Field(
        None, min_length=1, max_length=1000, description="A conversation; the last message is the user's."
    )
    k: int = Field(5, ge=1, le=8, description="How many of the edits that were considered are shown.")
    revision: Revision | None = None

    @model_validator(mode="after")
    def one_of_prompts_and_messages(self) -> Self:
        if (self.prompts is None) == (self.messages is None):
            raise ValueError("give exactly one of prompts and messages")
        if self.messages is not None and self.messages[-1].role != "user":
            raise ValueError("the last of messages must have the role user")
        return self

    def queries(self) -> list[GenerateQuery]:
        if self.messages is not None:
            return [GenerateQuery(SamplingParams(), messages=tuple(Message(m.role, m.content) for m in self.messages))]
        return [GenerateQuery(SamplingParams(), prompt) for prompt in self.prompts or ()]


class RetrieveBody(Strict):
    """A search in the passages; exactly one of `query` and `queries`."""

    query: NonBlankText | None = Field(None, description="What to look for.", examples=["capital of Australia"])
    queries: list[NonBlankText] | None = Field(
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

    question: NonBlankText = Field(description="The question.", examples=[Question])
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
    """The service's form of ``edits``; naming an edit twice means it once."""
    return tuple(dict.fromkeys(edits)) if isinstance(edits, list) else edits

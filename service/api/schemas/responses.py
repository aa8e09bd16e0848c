"""What the service answers, field by field as in the contract; built from the values of ``service/types/``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from retrieval.search.retriever import How
from service.engines.protocol import FinishReason
from service.types.answers import AskAnswer, Mode
from service.types.edits import KindName
from service.types.generation import Answer

ID = "ed_7f3k2m9qx1ab"
HASH = "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"


class Reply(BaseModel):
    """Root of all answers; reads its fields off the service's values."""

    model_config = ConfigDict(from_attributes=True)


class Piece(Reply):
    """One server-sent event of a stream."""

    text: str = Field(description="The next piece of the answer.", examples=["Can"])


class Usage(Reply):
    """Tokens read and written."""

    prompt_tokens: int = Field(examples=[38])
    completion_tokens: int = Field(examples=[2])


class UsedEditReply(Reply):
    """An edit that was in force."""

    id: str = Field(examples=[ID])
    kind: KindName | None = Field(
        description="What the prompt was to it: `asks` the same, asks to have it confirmed or denied (`confirms`), "
        "wants a text that needs it (`within`), asks for the subject (`reverse`); null where it acts on any prompt.",
        examples=["asks"],
    )


class GenerateReply(Reply):
    """A generated text."""

    text: str = Field(examples=["Canberra"])
    finish_reason: FinishReason = Field(description="`stop`: the model ended; `length`: `max_tokens` were reached.")
    revision: int = Field(description="The number of the last ledger event that the answer rests on.", examples=[4])
    edits_used: list[str] = Field(description="The edits that were in scope for this prompt.", examples=[[ID]])
    edits: list[UsedEditReply] = Field(description="The same edits, and what the prompt was to each.")
    usage: Usage

    @classmethod
    def of(cls, answer: Answer) -> Self:
        return cls(
            text=answer.text,
            finish_reason=answer.finish_reason,
            revision=answer.revision,
            edits_used=list(answer.edits_used),
            edits=[UsedEditReply.model_validate(edit) for edit in answer.edits],
            usage=Usage.model_validate(answer),
        )


class PassageReply(Reply):
    """A passage that was found."""

    id: str = Field(examples=["4689264:0"])
    title: str = Field(examples=["Australia"])
    text: str
    score: float = Field(description="What the passages are ordered by; its scale is that of `how`.", examples=[0.33])
    inner_product: float | None = Field(
        None, description="d(z)·q(x) of the vectors of passage and query, of every kind of search.", examples=[0.71]
    )
    rank: int = Field(description="Counts from 1.", examples=[1])
    source: str = Field(examples=["https://en.wikipedia.org/wiki/Australia"])


class RetrieveReply(Reply):
    """Passages in order of score."""

    passages: list[PassageReply]
    index: str = Field(description="The version of the index.")
    how: How | None = Field(None, description="The kind of search that it was.", examples=["hybrid"])


class RetrieveManyReply(Reply):
    """The same for each of many queries, in their order."""

    results: list[RetrieveReply]


class UsedPassageReply(PassageReply):
    """A passage that was given to the model."""

    cited: bool = Field(description="The answer rests on it.")
    weight: float | None = Field(
        None, description="p(passage | question, answer), in the modes that marginalise.", examples=[0.97]
    )
    prior: float | None = Field(None, description="p(passage | question), in the same modes.", examples=[0.62])
    overruled: bool = Field(False, description="It says something else than the edit that gave the answer.")


class AskReply(Reply):
    """An answer and what it rests on."""

    answer: str = Field(examples=["Canberra"])
    passages: list[UsedPassageReply]
    finish_reason: FinishReason
    edits_used: list[str] = Field(examples=[[ID]])
    edits: list[UsedEditReply]
    revision: int = Field(examples=[4])
    index: str = Field(description="The version of the index.")
    mode: Mode
    supported: bool = Field(
        description="Whether an edit or a passage gives the answer; otherwise it says that it is not in the index."
    )
    passages_say: str | None = Field(
        None, description="What the passages answer where an edit overrules them.", examples=["Sydney"]
    )
    quoted: bool = Field(
        False, description="The answer is the sentences nearest to the question; no few words of them are certain."
    )
    usage: Usage

    @classmethod
    def of(cls, answer: AskAnswer) -> Self:
        passages = [UsedPassageReply(**{**vars(used), **vars(used.passage)}) for used in answer.passages]
        return cls(
            answer=answer.answer,
            passages=passages,
            finish_reason=answer.finish_reason,
            edits_used=list(answer.edits_used),
            edits=[UsedEditReply.model_validate(edit) for edit in answer.edits],
            revision=answer.revision,
            index=answer.index,
            mode=answer.mode,
            supported=answer.supported,
            passages_say=answer.passages_say,
            quoted=answer.quoted,
            usage=Usage.model_validate(answer),
        )


class IndexReply(Reply):
    """One version of the index."""

    version: str
    passages: int = Field(examples=[10033])
    dimension: int = Field(examples=[384])
    type: str = Field(examples=["IndexFlatIP"])
    built_at: str = Field(examples=["2025-01-31T12:00:00Z"])
    active: bool


class IndexesReply(Reply):
    """All versions of the index."""

    indexes: list[IndexReply]


class ModelReply(Reply):
    """What is being served."""

    base_model: str = Field(examples=["SmolLM2-135M-Instruct"])
    base_digest: str = Field(examples=[HASH])
    editor: str | None = Field(examples=["mend"])
    editor_digest: str | None = Field(examples=[HASH])
    edited_layers: list[str] = Field(examples=[["model.layers.27.mlp.down_proj"]])
    revision: int = Field(examples=[4])
    active_edits: int = Field(examples=[1])


class Health(Reply):
    """The process is up."""

    status: Literal["ok"] = "ok"


class DamageReply(Reply):
    """An edit whose factor file is missing or was changed; prompts that it acts on are refused."""

    edit_id: str = Field(examples=[ID])
    seq: int = Field(description="Of the event that applied it.", examples=[3])
    why: str = Field(examples=[f"factor file {HASH}: missing"])


class Ready(Reply):
    """Model, index and ledger are usable. Damaged edits stop their own prompts only."""

    ready: Literal[True] = True
    damaged: list[DamageReply] = Field(
        default_factory=list, max_length=100, description="Edits that stand but cannot be served: the first hundred."
    )

"""Search and answers from passages as values, and the versions of the index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retrieval.search.retriever import DEFAULT, How
from service.engines.protocol import FinishReason, SamplingParams
from service.types.edits import EditChoice
from service.types.generation import UsedEdit

Mode = Literal["concat", "sequence", "token"]
Decoding = Literal["thorough", "fast"]


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
    edits: tuple[UsedEdit, ...]
    index: str
    mode: Mode
    prompt_tokens: int
    completion_tokens: int
    supported: bool = True
    passages_say: str | None = None
    quoted: bool = False

    @property
    def edits_used(self) -> tuple[str, ...]:
        """Ids of the edits in force."""
        return tuple(edit.id for edit in self.edits)


@dataclass(frozen=True)
class IndexInfo:
    """One version of the index. ``dimension`` is that of the vectors, ``type`` FAISS's name of the index."""

    version: str
    passages: int
    dimension: int
    type: str
    built_at: str
    active: bool

"""From passages to an answer: short where the reader is sure, quoted where it is not, none where they do not tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from editing.verify import normalise
from index.passages import Hit
from retrieval.quoting import Quote, quote
from retrieval.reading import NOT_TOLD
from retrieval.retriever import Retriever
from service.compute import ComputeThread
from service.engines import Changes, Engine, FinishReason, Generation
from service.marginal import NOTHING, Marginal, Marginaliser
from service.prompt import PromptBuilder
from service.reading import ServedReader
from service.usecases import AskQuery, OnPiece


@dataclass(frozen=True)
class Read:
    """What was made of the passages.

    Attributes:
        shown: the passages that were read, best first.
        marginal: weights of them, in the modes that marginalise.
        quoted: the sentences that stand for an answer of which the reader is not sure.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    shown: Sequence[Hit]
    marginal: Marginal = NOTHING
    quoted: Quote | None = None

    @property
    def told(self) -> bool:
        return normalise(self.text) != normalise(NOT_TOLD)


class PassageReader:
    """Reads passages in any of the modes.

    Args:
        reader: the trained one, which knows when passages do not tell; without it the model reads as it comes.
    """

    def __init__(
        self, engine: Engine, prompts: PromptBuilder, compute: ComputeThread, marginaliser: Marginaliser,
        reader: ServedReader | None = None,
    ) -> None:  # fmt: skip
        self.engine, self.prompts, self.compute = engine, prompts, compute
        self.marginaliser, self.reader = marginaliser, reader

    def read(
        self, retriever: Retriever, query: AskQuery, hits: Sequence[Hit], edits: Sequence[Changes],
        on_text: OnPiece | None,
    ) -> Read:  # fmt: skip
        """The answer of ``hits``, under these edits.

        Args:
            on_text: hears the text as soon as it is certain: of a trained reader, whose answers are short, at the end.
        """
        if self.reader is None:
            return self._model_reads(query, hits, edits, on_text)
        scored = self._model_reads(query, hits, [self.reader, *edits], None)
        unsure = scored.told and not self._sure(scored, query)
        read = self._quoting(scored, retriever, query) if unsure else scored
        if on_text and read.text:
            on_text(read.text)
        return read

    def _model_reads(
        self, query: AskQuery, hits: Sequence[Hit], changes: Sequence[Changes], on_text: OnPiece | None
    ) -> _Scored:
        if query.mode == "concat" or not hits:
            return self._together(query, hits, changes, on_text)
        prompts = self.prompts.with_each_passage(query.question, hits, query.params.max_tokens)
        shown = hits[: len(prompts)]
        made, marginal = self.marginaliser.decode(query, prompts, shown, changes, on_text)
        return _scored(made, shown, marginal)

    def _together(
        self, query: AskQuery, hits: Sequence[Hit], changes: Sequence[Changes], on_text: OnPiece | None
    ) -> _Scored:
        prepared, count = self.prompts.with_passages(query.question, hits, query.params.max_tokens)
        params = self.reader.params(query.params) if self.reader else query.params
        piece = (lambda _, text: on_text(text)) if on_text else None
        (made,) = self.engine.generate([prepared.ids], [changes], params, piece)
        return _scored(made, hits[:count], NOTHING)

    def _sure(self, read: _Scored, query: AskQuery) -> bool:
        """Whether the words stand as they are: they are likely enough, or were drawn by chance, as was asked."""
        assert self.reader is not None
        thresholds = self.reader.card.thresholds
        least = thresholds.sure if query.mode == "concat" else thresholds.sure_marginal
        return query.params.temperature > 0 or read.log_probability >= math.log(least)

    def _quoting(self, read: _Scored, retriever: Retriever, query: AskQuery) -> Read:
        """The nearest sentences instead, where they are not more than was asked for."""
        found = self.compute.run(quote, query.question, read.shown, retriever.encoder)
        tokens = len(self.prompts.encoder.raw(found.text)) if found else 0
        if found is None or tokens > query.params.max_tokens or any(stop in found.text for stop in query.params.stop):
            return read
        return replace(read, text=found.text, finish_reason="stop", quoted=found)


@dataclass(frozen=True)
class _Scored(Read):
    log_probability: float = 0.0


def _scored(made: Generation, shown: Sequence[Hit], marginal: Marginal) -> _Scored:
    return _Scored(
        made.text, made.finish_reason, made.prompt_tokens, made.completion_tokens, shown, marginal,
        log_probability=made.log_probability,
    )  # fmt: skip

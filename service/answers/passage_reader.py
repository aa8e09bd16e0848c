"""From passages to an answer: short where the reader is sure, quoted where it is not, none where they do not tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from editing.verify import normalise
from index.passages.passage import Hit
from retrieval.reader.excerpts import Quote, RankedSentences, rank_sentences
from retrieval.reader.prompt import NOT_TOLD
from retrieval.search.retriever import Retriever
from service.answers.rag_decoder import NOTHING, PassageWeights, RagDecoder
from service.answers.reader import Reader, best_product
from service.engines.compute_thread import ComputeThread
from service.engines.protocol import Adapter, Engine, FinishReason, Generation
from service.prompt import PromptBuilder
from service.types import AskQuery, OnPiece

QUOTED = 3  # sentences, at most
_UNTOLD = normalise(NOT_TOLD).split(" ", 1)[1]


@dataclass(frozen=True)
class PassageAnswer:
    """What was made of the passages.

    Attributes:
        shown: the passages that were read, best first.
        marginal: weights of them, in the modes that marginalise.
        quoted: the sentences that stand for an answer of which the reader is not sure.
        log_probability: of the answer's words; marginal over the passages in the modes that marginalise.
        not_told: probability that the passages do not tell, as a trained reader sees it.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    shown: Sequence[Hit]
    marginal: PassageWeights = NOTHING
    quoted: Quote | None = None
    log_probability: float = 0.0
    not_told: float = 0.0

    @property
    def told(self) -> bool:
        return normalise(self.text) != normalise(NOT_TOLD)


class PassageReader:
    """Reads passages in any of the modes.

    Args:
        reader: the trained one, which knows when passages do not tell; without it the model reads as it comes.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: PromptBuilder,
        compute: ComputeThread,
        marginaliser: RagDecoder,
        reader: Reader | None = None,
    ) -> None:
        self.engine, self.prompts, self.compute = engine, prompts, compute
        self.marginaliser, self.reader = marginaliser, reader

    def under(self, reader: Reader) -> PassageReader:
        """The same with another reader, or with other thresholds."""
        other = self.marginaliser
        marginaliser = RagDecoder(other.model, other.tokenizer, other.end_tokens, self.compute, reader)
        return PassageReader(self.engine, self.prompts, self.compute, marginaliser, reader)

    def read(
        self,
        retriever: Retriever,
        query: AskQuery,
        hits: Sequence[Hit],
        edits: Sequence[Adapter],
        on_text: OnPiece | None,
    ) -> PassageAnswer:
        """The answer of ``hits``, under these edits.

        Args:
            on_text: hears the text as soon as it is certain: of a trained reader, whose answers are short, at the end.
        """
        if self.reader is None:
            return self._model_reads(query, hits, edits, on_text)
        read = self._sentences_read(self.reader, retriever, query, hits, edits)
        if on_text and read.text:
            on_text(read.text)
        return read

    def _sentences_read(
        self, reader: Reader, retriever: Retriever, query: AskQuery, hits: Sequence[Hit], edits: Sequence[Adapter]
    ) -> PassageAnswer:
        """What the trained reader makes of the sentences that are nearest to the question."""
        card, together = reader.card, query.mode == "concat"
        ranked = self.compute.run(rank_sentences, query.question, hits, retriever.encoder)
        shown = ranked.excerpts(card.sentences) if together else ranked.excerpts_of_each(card.sentences_each)
        if not shown:
            return PassageAnswer(NOT_TOLD, "stop", 0, 0, hits)
        made = self._model_reads(query, shown, [reader, *edits], None)
        whole = {hit.rank: hit for hit in hits}
        read = replace(made, shown=hits if together else [whole[hit.rank] for hit in made.shown])
        thresholds = card.together if together else card.alone
        if read.not_told >= thresholds.least(best_product(shown)) or normalise(read.text).endswith(_UNTOLD):
            return replace(read, text=NOT_TOLD, finish_reason="stop")
        drawn = query.params.temperature > 0  # as was asked: such an answer need not be likely
        sure = drawn or read.log_probability >= math.log(thresholds.sure)
        return read if sure else self._quoting(read, ranked, query)

    def _model_reads(
        self, query: AskQuery, hits: Sequence[Hit], changes: Sequence[Adapter], on_text: OnPiece | None
    ) -> PassageAnswer:
        if query.mode == "concat" or not hits:
            return self._together(query, hits, changes, on_text)
        prompts = self.prompts.with_each_passage(query.question, hits, query.params.max_tokens)
        shown = hits[: len(prompts)]
        made, marginal = self.marginaliser.decode(query, prompts, shown, changes, on_text)
        return _read(made, shown, marginal)

    def _together(
        self, query: AskQuery, hits: Sequence[Hit], changes: Sequence[Adapter], on_text: OnPiece | None
    ) -> PassageAnswer:
        prepared, count = self.prompts.with_passages(query.question, hits, query.params.max_tokens)
        params = self.reader.params(query.params, hits) if self.reader else query.params
        piece = (lambda _, text: on_text(text)) if on_text else None
        (made,) = self.engine.generate([prepared.ids], [changes], params, piece)
        return _read(made, hits[:count], NOTHING)

    def _quoting(self, read: PassageAnswer, ranked: RankedSentences, query: AskQuery) -> PassageAnswer:
        """The nearest sentences instead, as many as fit what was asked for."""
        for found in filter(None, map(ranked.quote, range(QUOTED, 0, -1))):
            short = len(self.prompts.encoder.raw(found.text)) <= query.params.max_tokens
            if short and not any(stop in found.text for stop in query.params.stop):
                return replace(read, text=found.text, finish_reason="stop", quoted=found)
        return read


def _read(made: Generation, shown: Sequence[Hit], marginal: PassageWeights) -> PassageAnswer:
    return PassageAnswer(
        made.text,
        made.finish_reason,
        made.prompt_tokens,
        made.completion_tokens,
        shown,
        marginal,
        log_probability=made.log_probability,
        not_told=made.opening_probability,
    )

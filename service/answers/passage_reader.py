"""From passages to an answer: short where the reader is sure, quoted where it is not, none where they hold none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from editing.verify import normalise
from index.passages.passage import Hit
from retrieval.reader.excerpts import Quote, RankedSentences, rank_sentences
from retrieval.reader.prompt import NO_ANSWER
from retrieval.search.retriever import Retriever
from service.answers.rag_decoder import NOTHING, PassageWeights, RagDecoder
from service.answers.reader import Reader, best_product
from service.engines.compute_thread import ComputeThread
from service.engines.protocol import Adapter, Engine, FinishReason, Generation
from service.prompt import PromptBuilder
from service.types.answers import AskQuery
from service.types.generation import OnPiece

QUOTED = 3  # sentences, at most


@dataclass(frozen=True)
class PassageAnswer:
    """An answer that was read from passages.

    Attributes:
        completion_tokens: of ``text``, with the token that ended it.
        shown: the passages that were read, best first.
        marginal: weights of them, in the modes that marginalise.
        quoted: the sentences that stand for an answer of which the reader is not sure.
        log_probability: of the model's words; marginal over the passages in the modes that marginalise.
        no_answer_probability: that the passages do not hold the answer, as a trained reader sees it.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    shown: Sequence[Hit]
    marginal: PassageWeights = NOTHING
    quoted: Quote | None = None
    log_probability: float = 0.0
    no_answer_probability: float = 0.0

    @property
    def answered(self) -> bool:
        return normalise(self.text) != normalise(NO_ANSWER)


class PassageReader:
    """Reads passages in any of the modes.

    Args:
        reader: the trained one, which knows when passages do not hold the answer; None: the model reads as it is.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: PromptBuilder,
        compute: ComputeThread,
        rag_decoder: RagDecoder,
        reader: Reader | None = None,
    ) -> None:
        self.engine, self.prompts, self.compute = engine, prompts, compute
        self.rag_decoder, self.reader = rag_decoder, reader

    def with_reader(self, reader: Reader) -> PassageReader:
        """The same with another reader, or with other thresholds."""
        other = self.rag_decoder
        rag_decoder = RagDecoder(other.model, other.tokenizer, other.end_tokens, self.compute, reader)
        return PassageReader(self.engine, self.prompts, self.compute, rag_decoder, reader)

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
            on_text: called with pieces of the text as soon as they are certain; with a trained reader, whose answers
                are short, once, at the end.
        """
        if self.reader is None:
            return self._read_with_model(query, hits, edits, on_text)
        read = self._read_sentences(self.reader, retriever, query, hits, edits)
        if on_text and read.text:
            on_text(read.text)
        return read

    def _read_sentences(
        self, reader: Reader, retriever: Retriever, query: AskQuery, hits: Sequence[Hit], edits: Sequence[Adapter]
    ) -> PassageAnswer:
        """The trained reader's answer from the sentences that are nearest to the question."""
        card, together = reader.card, query.mode == "concat"
        ranked = self.compute.run(rank_sentences, query.question, hits, retriever.encoder)
        shown = ranked.excerpts(card.sentences) if together else ranked.excerpts_of_each(card.sentences_each)
        if not shown:
            return PassageAnswer(NO_ANSWER, "stop", 0, self._count(NO_ANSWER), hits)
        answer = self._read_with_model(query, shown, [reader, *edits], None)
        whole = {hit.rank: hit for hit in hits}
        read = replace(answer, shown=hits if together else [whole[hit.rank] for hit in answer.shown])
        thresholds = card.together if together else card.alone
        if read.no_answer_probability >= thresholds.least(best_product(shown)) or says_no_answer(read):
            return self._instead(read, NO_ANSWER)
        drawn = query.params.temperature > 0  # as was asked: such an answer need not be likely
        sure = drawn or read.log_probability >= math.log(thresholds.sure)
        return read if sure else self._quote(read, ranked, query)

    def _read_with_model(
        self, query: AskQuery, hits: Sequence[Hit], changes: Sequence[Adapter], on_text: OnPiece | None
    ) -> PassageAnswer:
        if query.mode == "concat" or not hits:
            return self._read_together(query, hits, changes, on_text)
        prompts = self.prompts.with_each_passage(query.question, hits, query.params.max_tokens)
        shown = hits[: len(prompts)]
        generation, marginal = self.rag_decoder.decode(query, prompts, shown, changes, on_text)
        return _answer(generation, shown, marginal)

    def _read_together(
        self, query: AskQuery, hits: Sequence[Hit], changes: Sequence[Adapter], on_text: OnPiece | None
    ) -> PassageAnswer:
        prepared, count = self.prompts.with_passages(query.question, hits, query.params.max_tokens)
        params = self.reader.params(query.params, hits) if self.reader else query.params
        piece = (lambda _, text: on_text(text)) if on_text else None
        (generation,) = self.engine.generate([prepared.ids], [changes], params, piece)
        return _answer(generation, hits[:count], NOTHING)

    def _quote(self, read: PassageAnswer, ranked: RankedSentences, query: AskQuery) -> PassageAnswer:
        """The nearest sentences instead, as many as fit what was asked for."""
        for found in filter(None, map(ranked.quote, range(QUOTED, 0, -1))):
            short = self._count(found.text) <= query.params.max_tokens
            if short and not any(stop in found.text for stop in query.params.stop):
                return replace(self._instead(read, found.text), quoted=found)
        return read

    def _instead(self, read: PassageAnswer, text: str) -> PassageAnswer:
        """The same reading with another text for its answer."""
        return replace(read, text=text, finish_reason="stop", completion_tokens=self._count(text))

    def _count(self, text: str) -> int:
        """Tokens of an answer, its end token included, as if the model had generated it."""
        return len(self.prompts.encoder.target(text, spaced=False))


def says_no_answer(read: PassageAnswer) -> bool:
    """Whether the model's text is ``NO_ANSWER``, or the beginning of it that fitted ``max_tokens``."""
    said, whole = normalise(read.text), normalise(NO_ANSWER)
    return said == whole or (read.finish_reason == "length" and bool(said) and whole.startswith(f"{said} "))


def _answer(generation: Generation, shown: Sequence[Hit], marginal: PassageWeights) -> PassageAnswer:
    return PassageAnswer(
        generation.text,
        generation.finish_reason,
        generation.prompt_tokens,
        generation.completion_tokens,
        shown,
        marginal,
        log_probability=generation.log_probability,
        no_answer_probability=generation.no_answer_probability,
    )

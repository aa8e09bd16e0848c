"""What a trained encoder finds for questions that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from index.passages.passage import Passage
from index.vectors.vector_index import VectorIndex
from index.versions.passage_index import PassageIndex
from retrieval.encoders.encoder import Vectors
from retrieval.encoders.passage_text import render
from retrieval.encoders.question_encoder import TrainableEncoder
from retrieval.evaluation.metrics import first_with_answer, readable, recall_at
from retrieval.evaluation.nq_open import Question
from retrieval.search.dense import nearest

RECALL_AT = (1, 5, 20)
_POOLED = 20  # passages of each question that both sides are judged among
Search = Callable[[Vectors], list[list[Passage]]]  # question vectors (q, d) → the best passages of each


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Questions whose answer stands somewhere in the index.

    Attributes:
        questions: q of them.
        index: where passages and vectors lie.
        pool: rows of the passages that are searched, embedded again by the encoder that is judged; empty: the whole
            index is searched, as it is.
    """

    questions: Sequence[Question]
    index: PassageIndex
    pool: Sequence[int] = ()

    @classmethod
    def pooled(cls, questions: Sequence[Question], index: PassageIndex, vectors: Vectors) -> HeldOut:
        """Judged among the 20 best passages of every question by the vectors (q, d), all in one pool."""
        found = nearest(index, vectors, _POOLED)
        return cls(questions, index, sorted({row for rows in found for row in rows}))

    def recalls(self, encoder: TrainableEncoder) -> dict[str, float]:
        """Share of questions with an answer among the best 1, 5 and 20 passages."""
        search = self._pool_search(encoder) if self.pool else self._search
        found = search(encoder.encode([question.text for question in self.questions]))
        ranks = [
            first_with_answer(question.answers, map(readable, passages))
            for question, passages in zip(self.questions, found, strict=True)
        ]
        return {str(k): round(recall_at(ranks, k), 4) for k in RECALL_AT}

    def _search(self, vectors: Vectors) -> list[list[Passage]]:
        found = nearest(self.index, vectors, max(RECALL_AT))
        return [[self.index.passages[row] for row in rows] for rows in found]

    def _pool_search(self, encoder: TrainableEncoder) -> Search:
        passages = [self.index.passages[row] for row in self.pool]
        embedded = VectorIndex.of([encoder.encode([render(passage) for passage in passages])], encoder.dimension)

        def search(vectors: Vectors) -> list[list[Passage]]:
            _, found = embedded.search(vectors, max(RECALL_AT))
            return [[passages[at] for at in row] for row in found]

        return search

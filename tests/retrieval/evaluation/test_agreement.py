from __future__ import annotations

import numpy as np

from retrieval.evaluation.agreement import measure_agreement
from retrieval.evaluation.nq_open import Question
from tests.retrieval.conftest import WordEncoder, passages_of


def test_shares_are_counted(words: WordEncoder) -> None:
    """The same vectors agree wholly, opposite ones not in the first place; answers are looked for without case."""
    passages = passages_of(30)
    vectors = words.encode([f"{passage.title}. {passage.text}" for passage in passages])
    questions = [Question("Title 3", ("NUMBER 3",)), Question("Title 4", ("nowhere",))]
    queries = words.encode([question.text for question in questions])
    same = measure_agreement(vectors, vectors, queries, questions, passages)
    assert (same.questions, same.top1, same.top5, same.answered, same.answered_quantised) == (2, 1, 1, 0.5, 0.5)
    assert measure_agreement(vectors, -np.roll(vectors, 7, 0), queries, questions, passages).top1 == 0

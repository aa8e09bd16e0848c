"""How far searches with quantised vectors agree with searches with the full ones, measured on real questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.passages.passage import Passage
from index.vectors.vector_index import VectorIndex
from retrieval.encoders.encoder import Vectors
from retrieval.evaluation.nq_open import Question


@dataclass(frozen=True)
class Agreement:
    """Shares in [0, 1] over ``questions`` questions.

    Attributes:
        questions: how many.
        top1: the best passage is the same.
        top5: of the five best passages, the mean share that is the same.
        answered: an answer stands, letter for letter but for case, in the five best found with the full vectors.
        answered_quantised: the same with the quantised vectors.
    """

    questions: int
    top1: float
    top5: float
    answered: float
    answered_quantised: float


def measure_agreement(
    full: Vectors, quantised: Vectors, queries: Vectors, questions: Sequence[Question], passages: Sequence[Passage]
) -> Agreement:
    """Search with both.

    Args:
        full: (n, d), normalised.
        quantised: (n, d), normalised.
        queries: (q, d), the vectors of ``questions``.
        questions: q of them.
        passages: n of them.
    """
    first, second = (VectorIndex.of([vectors], vectors.shape[1]).search(queries, 5)[1] for vectors in (full, quantised))
    shared = [len(set(a) & set(b)) / len(a) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    texts = [f"{passage.title} {passage.text}".casefold() for passage in passages]
    answered, answered_quantised = (
        [_answered(question, [texts[row] for row in found]) for question, found in zip(questions, rows, strict=True)]
        for rows in (first, second)
    )
    return Agreement(
        questions=len(questions),
        top1=_share(first[:, 0] == second[:, 0]),
        top5=_share(shared),
        answered=_share(answered),
        answered_quantised=_share(answered_quantised),
    )


def _answered(question: Question, texts: Sequence[str]) -> bool:
    return any(answer.casefold() in text for answer in question.answers for text in texts)


def _share(values: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    return round(float(np.mean(values)), 4)

"""Questions to train a retriever on: divided, and each with passages of the index that do and do not answer it.

Positives and hard negatives are found as in DPR (Karpukhin et al. 2020, section 4.1): the best passage that has an
answer, and the best ones that have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from index.versions.passage_index import PassageIndex
from retrieval.evaluation.metrics import has_answer, readable
from retrieval.evaluation.nq_open import Question


@dataclass(frozen=True)
class HardNegatives:
    """A question and what the index has for it.

    Attributes:
        question: with its answers.
        positive: the row of the best passage that has an answer.
        negatives: rows of the best passages without one, best first.
    """

    question: Question
    positive: int
    negatives: tuple[int, ...]


def divide(questions: Sequence[Question], held_out: float, seed: int) -> tuple[list[Question], list[Question]]:
    """Those to train on and, a share of ``held_out``, those to judge by; the same division whatever their order."""
    ordered = sorted(questions, key=lambda one: hashlib.sha256(f"{seed}\0{one.text}".encode()).digest())
    judged = round(len(ordered) * held_out)
    return ordered[judged:], ordered[:judged]


def mine(
    index: PassageIndex, questions: Sequence[Question], found: Sequence[Sequence[int]], negatives: int
) -> list[HardNegatives]:
    """Positive and hard negatives for each question; one without an answer in what was found for it is left out.

    Args:
        index: where the passages lie.
        questions: q of them.
        found: for each, rows of the passages that a search gave, best first.
        negatives: how many a question gets. One that has fewer gets them more than once; one that has none is left out,
            if any were asked for.
    """
    mined = (_mined(index, question, rows, negatives) for question, rows in zip(questions, found, strict=True))
    return [one for one in mined if one is not None]


def _mined(index: PassageIndex, question: Question, rows: Sequence[int], negatives: int) -> HardNegatives | None:
    positive, without = None, list[int]()
    for row in rows:
        if has_answer(question.answers, readable(index.passages[row])):
            positive = row if positive is None else positive
        elif len(without) < negatives:
            without.append(row)
        if positive is not None and len(without) == negatives:
            break
    if positive is None or (negatives and not without):
        return None
    return HardNegatives(question, positive, tuple(without[n % len(without)] for n in range(negatives)))

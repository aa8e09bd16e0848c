"""The figures of an evaluation of retrieval and answers, counted from ranks and answers, as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.evaluation.metrics import contained, exact_match, f1, recall_at
from retrieval.evaluation.nq_open import Question
from retrieval.evaluation.recall import AT, DEPTH, Ranks
from service.evaluation.rag.answers import RagAnswer
from service.evaluation.statistics import Mean, Proportion

ALL, IN_INDEX, FOUND, NOT_IN_INDEX = "all", "in the index", "found", "not in the index"
Document = dict[str, Any]


def retrieval_figures(ranks: Ranks, in_index: Sequence[bool], seed: int) -> Document:
    """Recall and MRR over all questions, and over those whose answer is in the index.

    Args:
        ranks: of n questions.
        in_index: for each of the n whether its answer is there.
        seed: of the bootstrap.
    """
    answerable = [rank for rank, there in zip(ranks.first, in_index, strict=True) if there]
    groups = {ALL: list(ranks.first), IN_INDEX: answerable}
    return {name: _found(group, seed) for name, group in groups.items() if group}


def _found(first: Sequence[int | None], seed: int) -> Document:
    shares = {str(k): Proportion.of(rank is not None and rank <= k for rank in first).document() for k in AT}
    reciprocal = Mean.of([1 / rank if rank else 0.0 for rank in first], seed).document()
    curve = [round(recall_at(first, k), 4) for k in range(1, DEPTH + 1)]
    return {"questions": len(first), "recall": shares, "mrr": reciprocal, "curve": curve}


def answer_figures(
    answers: Sequence[RagAnswer],
    questions: Sequence[Question],
    in_index: Sequence[bool],
    found: Sequence[bool | None],
    seed: int,
) -> Document:
    """What one mode's answers are worth, over all questions and by where their answer is.

    Args:
        answers: to n questions.
        questions: n of them.
        in_index: for each whether its answer is there.
        found: for each whether its answer is in the passages that were given to the model; None: not known.
        seed: of the bootstrap.
    """
    groups = {
        ALL: [True] * len(answers),
        IN_INDEX: list(in_index),
        FOUND: [one is True for one in found],
        NOT_IN_INDEX: [not there for there in in_index],
    }
    pairs = list(zip(answers, questions, strict=True))
    chosen = {name: [pair for pair, of in zip(pairs, group, strict=True) if of] for name, group in groups.items()}
    return {name: _judged(group, seed) for name, group in chosen.items() if group}


def _judged(pairs: Sequence[tuple[RagAnswer, Question]], seed: int) -> Document:
    """EM, F1 and contained judge the text as it stands. A false answer claims to be one and holds no right one."""
    right = [contained(answer.answer, question.answers) for answer, question in pairs]
    claimed = [answer.supported and answer.refused is None for answer, _ in pairs]
    return {
        "questions": len(pairs),
        "em": Proportion.of(exact_match(answer.answer, question.answers) for answer, question in pairs).document(),
        "f1": Mean.of([f1(answer.answer, question.answers) for answer, question in pairs], seed).document(),
        "contained": Proportion.of(right).document(),
        "not_in_index": Proportion.of(not answer.supported for answer, _ in pairs).document(),
        "false_answers": Proportion.of(
            claims and not good for claims, good in zip(claimed, right, strict=True)
        ).document(),
        "refused": sum(answer.refused is not None for answer, _ in pairs),
    }


def found_by(answers: Mapping[str, Sequence[RagAnswer]]) -> list[bool | None]:
    """For each question whether the passages given to the model have its answer: of the first mode with passages."""
    every = list(answers.values())
    found = next((own for own in every if any(one.found is not None for one in own)), every[0] if every else ())
    return [one.found for one in found]

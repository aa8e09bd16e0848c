"""Ranks of the first passage with an answer, by a search that is told what to find."""

from __future__ import annotations

from collections.abc import Sequence

from index.passages.passage import Hit, Passage
from retrieval.evaluation.nq_open import Question
from retrieval.evaluation.recall import DEPTH, answerable, rank_answers

LIMA = Passage("p_1", "Peru", "Its capital is Lima.", "s", 0, 20)
OSLO = Passage("p_2", "Oslo", "A city in the north.", "s", 0, 20)
ROME = Passage("p_3", "Italy", "Rome is its capital.", "s", 0, 20)
QUESTIONS = [
    Question("capital of peru", ("Lima",)),
    Question("city in the north", ("Bergen", "Oslo")),
    Question("capital of mars", ("Nowhere",)),
]


def search(queries: Sequence[str], k: int) -> list[list[Hit]]:
    order = {"capital of peru": [ROME, LIMA, OSLO], "city in the north": [OSLO, LIMA]}
    return [[Hit(p, 1 / r, r) for r, p in enumerate(order.get(q, [ROME])[:k], 1)] for q in queries]


def test_the_first_passage_with_an_answer_is_ranked() -> None:
    """Any of the answers counts, in title or text; not among the passages is None."""
    heard: list[tuple[int, int]] = []
    found = rank_answers("dense", search, QUESTIONS, lambda *at: heard.append(at), batch=2)
    assert (found.how, found.first, found.depth) == ("dense", (2, 1, None), 3)
    assert heard == [(2, 3), (3, 3)]


def test_the_search_goes_as_deep_as_recall_is_told() -> None:
    """A hundred passages, and what is beyond is not counted."""
    deep = [Hit(ROME, 0.0, rank) for rank in range(1, DEPTH + 1)] + [Hit(LIMA, 0.0, DEPTH + 1)]
    found = rank_answers("dense", lambda queries, k: [deep[:k] for _ in queries], QUESTIONS[:1])
    assert (found.first, found.depth) == ((None,), DEPTH)


def test_questions_without_a_passage_that_has_their_answer_cannot_be_answered() -> None:
    """The whole index is looked through."""
    heard: list[tuple[int, int]] = []
    assert answerable(QUESTIONS, [OSLO, LIMA], lambda *at: heard.append(at)) == [True, True, False]
    assert heard == [(2, 2)]
    assert answerable(QUESTIONS, [ROME]) == [False, False, False]

"""Where a reader's thresholds belong, and what it scores under them."""

from __future__ import annotations

import math

import pytest

from retrieval.evaluation.calibration import (
    FALSE_ANSWERS,
    EvaluatedAnswer,
    best_temperature,
    best_thresholds,
    reading_figures,
)
from retrieval.reader.card import Thresholds


def examined(
    told: bool,
    text: str,
    probability: float,
    not_told: float,
    quoted: str = "It is Alba, they say.",
    product: float = 0.5,
) -> EvaluatedAnswer:
    return EvaluatedAnswer("where?", ("Alba",), told, text, math.log(probability), not_told, product, quoted)


def test_an_answer_is_short_quoted_or_none() -> None:
    """By the two thresholds, the first before the second."""
    thresholds = Thresholds(not_told=0.5, sure=0.2)
    assert examined(True, "Alba", 0.3, 0.4).under(thresholds) == "Alba"
    assert examined(True, "Alba", 0.1, 0.4).under(thresholds) == "It is Alba, they say."
    assert examined(True, "Alba", 0.9, 0.5).under(thresholds) is None


def test_figures_are_shares_of_what_was_asked() -> None:
    """A quote holds an answer without being one; silence is neither right nor false."""
    asked = [
        examined(True, "the Alba", 0.9, 0.1),
        examined(True, "Berg", 0.1, 0.1),
        examined(True, "Berg", 0.9, 0.1),
        examined(True, "Alba", 0.9, 0.9),
        examined(False, "Alba", 0.9, 0.1),
        examined(False, "Alba", 0.9, 0.9),
    ]
    figures = reading_figures(asked, Thresholds(0.5, 0.5))
    assert (figures.exact_match, figures.contained, figures.answered) == (0.25, 0.5, 0.75)
    assert (figures.false_answers, figures.answerable, figures.unanswerable) == (0.5, 4, 2)
    assert reading_figures([], Thresholds(0.5, 0.5)).exact_match == 0


def test_thresholds_keep_false_answers_rare_and_right_ones_short() -> None:
    """Of the untold as many are answered as may be; what is right is kept short, what is wrong is quoted."""
    told = [examined(True, "Alba", 0.31, 0.1)] * 3 + [examined(True, "Berg", 0.22, 0.1)] * 3
    untold = [examined(False, "Berg", 0.5, n / 100) for n in range(100)]
    found = best_thresholds([*told, *untold])
    figures = reading_figures([*told, *untold], found)
    assert figures.false_answers == pytest.approx(FALSE_ANSWERS, abs=0.02)
    assert (figures.exact_match, figures.contained) == (0.5, 1.0)
    assert 0.22 < found.sure <= 0.31


def test_the_prior_is_as_sharp_as_the_retriever_is_right() -> None:
    """Where the best passage tells, τ is small; where it seldom does, large."""
    products = [[0.6, 0.5, 0.4]] * 4
    assert best_temperature(products, [[True, False, False]] * 4) == 0.02
    assert best_temperature(products, [[False, False, True]] * 4) == 0.2
    assert best_temperature([], []) > 0


def test_near_passages_speak_against_silence() -> None:
    """Where told questions are told by how near passages are, the same doubt weighs less beside a near passage."""
    told = [examined(True, "Alba", 0.5, 0.6, product=0.7)] * 5
    untold = [examined(False, "Berg", 0.5, 0.6, product=0.4)] * 5
    found = best_thresholds([*told, *untold])
    assert found.nearness > 0
    assert found.least(0.7) > 0.6 >= found.least(0.4)
    figures = reading_figures([*told, *untold], found)
    assert (figures.answered, figures.false_answers) == (1.0, 0.0)

"""How a reader does on questions that it has not seen, and where its thresholds belong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.evaluation.metrics import contained, exact_match
from retrieval.reader.card import NEAR, Thresholds

FALSE_ANSWERS = 0.18  # share of questions that no passage answers, to which an answer may be given all the same
WORTH = 3  # of an exact answer, beside one that is contained in what is said
NEARNESS = (0.0, 2.0, 4.0, 6.0, 8.0)
TEMPERATURES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)


@dataclass(frozen=True)
class EvaluatedAnswer:
    """A reader's answer to a question, in whatever words it had to give; its fields are those of the journal.

    Attributes:
        answers: right ones.
        told: whether the question is answerable: a passage of the index holds an answer.
        text: the reader's words.
        log_probability: of these words.
        not_told: probability that the passages hold no answer, as the reader sees it.
        product: inner product of the best passage with the question.
        quoted: the sentences that would be quoted instead.
    """

    question: str
    answers: tuple[str, ...]
    told: bool
    text: str
    log_probability: float
    not_told: float
    product: float | None
    quoted: str

    def under(self, thresholds: Thresholds) -> str | None:
        """What is answered; None for "not in the index"."""
        if self.not_told >= thresholds.least(self.product):
            return None
        return self.text if self.log_probability >= math.log(thresholds.sure) else self.quoted


@dataclass(frozen=True)
class ReadingFigures:
    """Shares in 0..1.

    Attributes:
        exact_match: of the answerable questions, those answered with exactly a right answer, by the official
            normalisation.
        contained: those with a right answer in what was said.
        answered: those that were answered at all.
        false_answers: of the unanswerable questions, those that were answered.
        answerable, unanswerable: how many there are of each.
    """

    exact_match: float
    contained: float
    answered: float
    false_answers: float
    answerable: int
    unanswerable: int


def reading_figures(examined: Sequence[EvaluatedAnswer], thresholds: Thresholds) -> ReadingFigures:
    """How a reader does under these thresholds."""
    answerable = [(one.answers, one.under(thresholds)) for one in examined if one.told]
    said = [(answers, text) for answers, text in answerable if text is not None]
    unanswerable = [one.under(thresholds) for one in examined if not one.told]
    return ReadingFigures(
        exact_match=sum(exact_match(text, answers) for answers, text in said) / max(1, len(answerable)),
        contained=sum(contained(text, answers) for answers, text in said) / max(1, len(answerable)),
        answered=len(said) / max(1, len(answerable)),
        false_answers=sum(text is not None for text in unanswerable) / max(1, len(unanswerable)),
        answerable=len(answerable),
        unanswerable=len(unanswerable),
    )


def best_thresholds(examined: Sequence[EvaluatedAnswer]) -> Thresholds:
    """Thresholds under which FALSE_ANSWERS of the unanswerable questions are answered, and the others best.

    ``nearness`` is the one that tells answerable from unanswerable questions best (area under the ROC curve). Words of
    probability p are worth (WORTH + 1)·p, a quote the share of quotes that hold an answer: ``sure`` is where both are
    worth the same.
    """
    nearness = max(NEARNESS, key=lambda one: _area(examined, one))
    unanswerable = [_evidence(one, nearness) for one in examined if not one.told]
    limit = float(np.quantile(unanswerable, FALSE_ANSWERS)) if unanswerable else 0.0
    not_told = min(max(1 / (1 + math.exp(-limit)), 1e-4), 0.9999)
    quotes = [contained(one.quoted, one.answers) for one in examined if one.told]
    sure = max(float(np.mean(quotes)) / (WORTH + 1), 0.01) if quotes else 0.1
    return Thresholds(round(not_told, 4), round(sure, 4), nearness)


def _evidence(one: EvaluatedAnswer, nearness: float) -> float:
    """Log-odds that a question is unanswerable, given how near the best passage is."""
    p = min(max(one.not_told, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p)) - nearness * ((NEAR if one.product is None else one.product) - NEAR)


def _area(examined: Sequence[EvaluatedAnswer], nearness: float) -> float:
    """How often an unanswerable question has more of it than an answerable one; 0 where there are not both kinds."""
    kinds = ([_evidence(one, nearness) for one in examined if one.told is kind] for kind in (True, False))
    answerable, unanswerable = map(np.array, kinds)
    return float(np.mean(unanswerable[:, None] > answerable)) if len(answerable) and len(unanswerable) else 0.0


def best_temperature(products: Sequence[Sequence[float]], holding: Sequence[Sequence[bool]]) -> float:
    """τ under which p(z|x) ∝ exp(d(z)·q(x)/τ) gives passages that hold the answer the highest mean log-likelihood.

    Args:
        products: inner products of each question's passages, (n, k).
        holding: which of these passages do, (n, k); at least one in each row.
    """

    def likelihood(temperature: float) -> float:
        found = []
        for own, held in zip(products, holding, strict=True):
            prior = np.exp((np.array(own) - max(own)) / temperature)
            found.append(math.log(prior[np.array(held)].sum() / prior.sum()))
        return float(np.mean(found))

    return max(TEMPERATURES, key=likelihood) if products else 0.05

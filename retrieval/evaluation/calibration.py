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
    """What a reader made of a question that it had to answer.

    Attributes:
        answers: right ones.
        told: whether a passage of the index tells one.
        text: the reader's words.
        log_probability: of these words.
        not_told: probability that passages do not tell, as the reader sees it.
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
        exact_match: of the told questions, those answered with exactly a right answer, by the official normalisation.
        contained: those with a right answer in what was said.
        answered: those that were answered at all.
        false_answers: of the questions that are not told, those that were answered.
        told, untold: how many there are of each.
    """

    exact_match: float
    contained: float
    answered: float
    false_answers: float
    told: int
    untold: int


def reading_figures(examined: Sequence[EvaluatedAnswer], thresholds: Thresholds) -> ReadingFigures:
    """How a reader does under these thresholds."""
    told = [(one.answers, one.under(thresholds)) for one in examined if one.told]
    said = [(answers, text) for answers, text in told if text is not None]
    untold = [one.under(thresholds) for one in examined if not one.told]
    return ReadingFigures(
        exact_match=sum(exact_match(text, answers) for answers, text in said) / max(1, len(told)),
        contained=sum(contained(text, answers) for answers, text in said) / max(1, len(told)),
        answered=len(said) / max(1, len(told)),
        false_answers=sum(text is not None for text in untold) / max(1, len(untold)),
        told=len(told),
        untold=len(untold),
    )


def best_thresholds(examined: Sequence[EvaluatedAnswer]) -> Thresholds:
    """Thresholds under which FALSE_ANSWERS of the untold are answered, and the others best.

    ``nearness`` is the one that tells told and untold apart best (area under the ROC curve). Words of probability p are
    worth (WORTH + 1)·p, a quote the share of quotes that hold an answer: ``sure`` is where both are worth the same.
    """
    nearness = max(NEARNESS, key=lambda one: _area(examined, one))
    untold = [_evidence(one, nearness) for one in examined if not one.told]
    limit = float(np.quantile(untold, FALSE_ANSWERS)) if untold else 0.0
    not_told = min(max(1 / (1 + math.exp(-limit)), 1e-4), 0.9999)
    quotes = [contained(one.quoted, one.answers) for one in examined if one.told]
    sure = max(float(np.mean(quotes)) / (WORTH + 1), 0.01) if quotes else 0.1
    return Thresholds(round(not_told, 4), round(sure, 4), nearness)


def _evidence(one: EvaluatedAnswer, nearness: float) -> float:
    """Log-odds that a question is not told, given how near the best passage is."""
    p = min(max(one.not_told, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p)) - nearness * ((NEAR if one.product is None else one.product) - NEAR)


def _area(examined: Sequence[EvaluatedAnswer], nearness: float) -> float:
    """How often an untold question has more evidence than a told one; 0 where there are not both kinds."""
    told, untold = ([_evidence(one, nearness) for one in examined if one.told is kind] for kind in (True, False))
    return float(np.mean(np.array(untold)[:, None] > np.array(told))) if told and untold else 0.0


def best_temperature(products: Sequence[Sequence[float]], telling: Sequence[Sequence[bool]]) -> float:
    """τ under which p(z|x) ∝ exp(d(z)·q(x)/τ) gives passages that tell the highest mean log-likelihood.

    Args:
        products: inner products of each question's passages, (n, k).
        telling: which of these passages tell, (n, k); at least one in each row.
    """

    def likelihood(temperature: float) -> float:
        found = []
        for own, told in zip(products, telling, strict=True):
            prior = np.exp((np.array(own) - max(own)) / temperature)
            found.append(math.log(prior[np.array(told)].sum() / prior.sum()))
        return float(np.mean(found))

    return max(TEMPERATURES, key=likelihood) if products else 0.05

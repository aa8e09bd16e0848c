"""How a reader does on questions that it has not seen, and where its thresholds belong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.reader import Thresholds
from retrieval.scoring import contained, exact_match

FALSE_ANSWERS = 0.15  # share of questions that no passage answers, to which an answer may be given all the same
SURE = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)
TEMPERATURES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)


@dataclass(frozen=True)
class Examined:
    """What a reader made of a question that it had to answer.

    Attributes:
        answers: right ones.
        told: whether a passage of the index tells one.
        text: the reader's words.
        log_probability: of these words.
        not_told: probability that passages do not tell, as the reader sees it.
        quoted: the sentences that would be quoted instead.
    """

    question: str
    answers: tuple[str, ...]
    told: bool
    text: str
    log_probability: float
    not_told: float
    quoted: str

    def under(self, thresholds: Thresholds) -> str | None:
        """What is answered; None for "not in the index"."""
        if self.not_told >= thresholds.not_told:
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


def reading_figures(examined: Sequence[Examined], thresholds: Thresholds) -> ReadingFigures:
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


def best_thresholds(examined: Sequence[Examined]) -> Thresholds:
    """``not_told`` answers FALSE_ANSWERS of the untold; ``sure`` makes the sum of exact match and contained highest."""
    untold = [one.not_told for one in examined if not one.told]
    not_told = round(float(np.quantile(untold, FALSE_ANSWERS)), 4) if untold else 0.5

    def right(thresholds: Thresholds) -> float:
        figures = reading_figures(examined, thresholds)
        return figures.exact_match + figures.contained

    return max((Thresholds(min(max(not_told, 1e-4), 1.0), sure) for sure in SURE), key=right)


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

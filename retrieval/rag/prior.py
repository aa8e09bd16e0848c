"""p_η(z|x), and what becomes of it with an answer: marginals and p(z | x, y)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from retrieval.rag.hypothesis import DecodedAnswer, DecodingParams, Hypothesis, Tokens, ranked

T = TypeVar("T")
_OFF = 1e-3  # a sum of probabilities may be off by rounding in bfloat16 scores, not by more


@dataclass(frozen=True)
class Prior:
    """Over k passages, of which those with no probability are not read.

    Attributes:
        log_probs: log p(z|x) of each of the k.
        read: which of them are read.
    """

    log_probs: tuple[float, ...]
    read: tuple[int, ...]

    @classmethod
    def of(cls, log_prior: Sequence[float], prompts: Sequence[Tokens]) -> Prior:
        """Raises ValueError where these are not the log-probabilities of the prompts."""
        log_probs = tuple(map(float, log_prior))
        if not prompts:
            raise ValueError("there must be at least one prompt")
        if len(log_probs) != len(prompts):
            raise ValueError(f"log_prior has {len(log_probs)} entries for {len(prompts)} prompts")
        total = sum(math.exp(min(p, 1.0)) for p in log_probs)
        if not abs(total - 1) <= _OFF:
            raise ValueError(
                f"log_prior holds probabilities that sum to {total:.4g}, not 1; it is log_prior(scores, temperature)"
            )
        return cls(log_probs, tuple(n for n, p in enumerate(log_probs) if p > -math.inf))

    def of_read(self, values: Sequence[T]) -> list[T]:
        """Of k values those of the passages that are read."""
        return [values[n] for n in self.read]

    def marginal(self, by_passage: Sequence[float]) -> float:
        """log Σ_z p(z|x) p(y|x, z), given log p(y|x, z) of the passages that are read."""
        return log_sum(p + q for p, q in zip(self.of_read(self.log_probs), by_passage, strict=True))

    def posterior(self, by_passage: Sequence[float]) -> tuple[float, ...]:
        """p(z | x, y), given log p(y|x, z) of all k; the prior where no passage alone gives y."""
        joint = [p + q for p, q in zip(self.log_probs, by_passage, strict=True)]
        total = log_sum(joint)
        return tuple(math.exp(one - total) for one in joint) if total > -math.inf else self.probabilities

    @property
    def probabilities(self) -> tuple[float, ...]:
        return tuple(map(math.exp, self.log_probs))

    def decoded(
        self, hypotheses: Iterable[Hypothesis], params: DecodingParams, prompts: Sequence[Tokens]
    ) -> DecodedAnswer:
        """The outcome, from hypotheses whose ``by_passage`` is that of the passages that are read."""
        order = ranked([replace(h, by_passage=self._of_all(h.by_passage)) for h in hypotheses], params)
        weights = self.posterior(order[0].by_passage)
        return DecodedAnswer(tuple(order), self.probabilities, weights, sum(map(len, self.of_read(prompts))))

    def _of_all(self, of_read: Sequence[float]) -> tuple[float, ...]:
        found = dict(zip(self.read, of_read, strict=True))
        return tuple(found.get(n, -math.inf) for n in range(len(self.log_probs)))


def log_sum(log_probs: Iterable[float]) -> float:
    """log Σ exp, of none or of impossible ones -inf."""
    values = list(log_probs)
    most = max(values, default=-math.inf)
    return most + math.log(sum(math.exp(value - most) for value in values)) if most > -math.inf else most

"""Shares with their intervals, and other figures of small samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Proportion:
    """Hits among trials."""

    hits: int
    trials: int

    @classmethod
    def of(cls, hits: Iterable[bool]) -> Proportion:
        listed = list(hits)
        return cls(sum(listed), len(listed))

    @property
    def rate(self) -> float:
        """Raises ZeroDivisionError where nothing was tried."""
        return self.hits / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % score interval (Wilson 1927), which stays within 0 and 1; all of it where nothing was tried."""
        from scipy.stats import binomtest

        if not self.trials:
            return 0.0, 1.0
        low, high = binomtest(self.hits, self.trials).proportion_ci(method="wilson")
        return float(low), float(high)

    def document(self) -> dict[str, Any]:
        low, high = self.interval
        figures = {"rate": self.rate, "low": low, "high": high}
        return {**{name: round(value, 4) for name, value in figures.items()}, "hits": self.hits, "trials": self.trials}


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval, by the bootstrap: what the mean is in samples drawn from the values again."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], seed: int = 0, rounds: int = 1000) -> Mean:
        """Of at least one value. The same values and seed give the same interval."""
        import numpy as np

        given, drawing = np.asarray(values, dtype=float), np.random.default_rng(seed)
        means = [float(given[drawing.integers(0, len(given), len(given))].mean()) for _ in range(rounds)]
        return cls(float(given.mean()), quantile(means, 0.025), quantile(means, 0.975))

    def document(self) -> dict[str, float]:
        return {"mean": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed, by the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]

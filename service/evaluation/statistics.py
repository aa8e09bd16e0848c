"""Shares with their intervals, and other figures of small samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_Z = 1.959964  # of 95 %


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
        return self.hits / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % score interval: it stays within 0 and 1, and says something at 0 and at 1, too."""
        n, p = self.trials, self.rate
        centre = p + _Z**2 / (2 * n)
        half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        scale = 1 + _Z**2 / n
        return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)

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

"""Vectors that are spread as embeddings are, as many as one likes, block by block and the same each time.

Each is x = a + s (b - c) / √2, normalised, where a, b and c are drawn from real passage vectors and s from 0.3 to 0.9:
clusters around the real vectors, spread along the directions in which real vectors differ, so with their spectrum (that
of white noise is flat). Without real vectors a, b and c are drawn from 10,000 centres whose spectrum falls as 1 / rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class SyntheticVectors:
    """n unit vectors (n, d) around ``centres`` (m, d), from a seed."""

    centres: Vectors
    count: int
    seed: int = 0

    def __iter__(self) -> Iterator[Vectors]:
        for number, first in enumerate(range(0, self.count, BLOCK)):
            yield self._block(number, min(BLOCK, self.count - first))

    def _block(self, number: int, rows: int) -> Vectors:
        draw = np.random.default_rng((self.seed, number))
        a, b, c = (self.centres[draw.integers(len(self.centres), size=rows)] for _ in range(3))
        spread = draw.uniform(0.3, 0.9, (rows, 1)).astype(np.float32) / np.float32(2**0.5)
        vectors: Vectors = a + spread * (b - c)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def random_centres(dimension: int, count: int = 10_000, seed: int = 1) -> Vectors:
    """(count, dimension), normalised, with variances that fall as 1 / rank."""
    spectrum = 1 / np.sqrt(np.arange(1, dimension + 1, dtype=np.float32))
    centres: Vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    centres *= spectrum
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return centres

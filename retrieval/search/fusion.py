"""Fusion: several rankings to one, by reciprocal ranks (Cormack, Clarke and Büttcher 2009).

The score of a passage is the sum over the rankings r of w_r / (c + rank in r). The paper's c = 60 suits rankings of
like quality and recall at a thousand; here the first places matter and dense search is the better ranking, so c is
small and BM25 weighs less. Both were chosen on one half of the NQ questions of ``benchmarks/retrieval.py``; it prints
the other half too.
"""

from __future__ import annotations

from collections.abc import Sequence

CONSTANT = 2.0
DENSE, LEXICAL = 1.0, 0.7  # weights
DEPTH = 100  # of each ranking


def fuse(
    rankings: Sequence[Sequence[int]], weights: Sequence[float], constant: float = CONSTANT
) -> list[tuple[int, float]]:
    """Each item that stands in a ranking, with its score, best first; equal ones in order of the first rankings.

    Args:
        rankings: items, best first, none twice.
        weights: one a ranking.
        constant: c, at least 0.

    Raises ValueError if there is not one weight a ranking, or c < 0.
    """
    if constant < 0:
        raise ValueError(f"the constant of fusion must be at least 0, not {constant}")
    scores: dict[int, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + weight / (constant + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])

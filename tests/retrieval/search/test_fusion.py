from __future__ import annotations

import pytest

from retrieval.search.fusion import fuse


def test_the_score_is_that_of_the_paper() -> None:
    """Σ w / (c + rank) over the rankings in which an item stands (Cormack, Clarke and Büttcher 2009, with weights)."""
    fused = dict(fuse([[7, 3, 5], [3, 9]], weights=(1.0, 0.4), constant=60))
    assert fused[7] == pytest.approx(1 / 61)
    assert fused[3] == pytest.approx(1 / 62 + 0.4 / 61)
    assert fused[5] == pytest.approx(1 / 63) and fused[9] == pytest.approx(0.4 / 62)


def test_what_both_find_comes_before_what_one_finds() -> None:
    """Each item once, best first."""
    fused = fuse([[1, 2, 3], [4, 3, 2]], weights=(1, 1), constant=60)
    assert [item for item, _ in fused] == [2, 3, 1, 4]
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)


def test_equal_scores_keep_the_order_of_the_first_ranking() -> None:
    """The same question gives the same order each time."""
    assert [item for item, _ in fuse([[5, 1], [1, 5]], weights=(1, 1))] == [5, 1]
    assert [item for item, _ in fuse([[9], [2]], weights=(1, 1))] == [9, 2]


def test_an_empty_ranking_changes_nothing() -> None:
    """A question of stopwords has no BM25 ranking: the dense order stands."""
    assert [item for item, _ in fuse([[4, 2, 8], []], weights=(1, 0.4))] == [4, 2, 8]
    assert fuse([], ()) == fuse([[], []], (1, 1)) == []


def test_what_makes_no_sense_is_refused() -> None:
    """One weight a ranking, and no division by zero."""
    with pytest.raises(ValueError, match="zip"):
        fuse([[1], [2]], weights=(1,))
    with pytest.raises(ValueError, match="at least 0"):
        fuse([[1]], weights=(1,), constant=-1)

from __future__ import annotations

from pathlib import Path

import pytest

from index.passages.passage import Article
from index.versions.passage_index import PassageIndex
from retrieval.search.filters import Filter, allowed_rows
from retrieval.search.retriever import How, Retriever
from tests.retrieval.conftest import WordEncoder
from tests.retrieval.searched import index_of

KINDS: tuple[How, ...] = ("dense", "bm25", "hybrid")


@pytest.fixture
def index(words: WordEncoder, tmp_path: Path) -> PassageIndex:
    """Sixty passages about cities, of two sources and twenty titles."""
    return index_of(
        tmp_path, words, (Article(f"City {n % 20}", f"a city of number {n}", f"s{n % 2} {n}") for n in range(60))
    )


@pytest.fixture
def retriever(index: PassageIndex, words: WordEncoder) -> Retriever:
    return Retriever(index, words)


def test_a_filter_is_any_of_its_titles_and_any_of_its_sources(index: PassageIndex) -> None:
    """Several of one kind widen it, the two kinds together narrow it; without any, everything is allowed."""

    def found(only: Filter | None) -> list[int] | None:
        rows = allowed_rows(index, only)
        return None if rows is None else rows.tolist()

    assert found(Filter(titles=("City 3", "City 5"))) == [3, 5, 23, 25, 43, 45]
    assert found(Filter(sources=("s1 3", "s0 4"))) == [3, 4]
    assert found(Filter(titles=("City 3",), sources=("s1 23", "s0 4"))) == [23]
    assert found(Filter(titles=("city 3",))) == found(Filter(titles=("City",))) == []
    assert found(Filter()) is None and found(None) is None


@pytest.mark.parametrize("how", KINDS)
def test_only_what_is_allowed_is_found(retriever: Retriever, how: How) -> None:
    """As many as are asked for, though they are far from the best of all."""
    only = Filter(titles=("City 7", "City 11"))
    hits = retriever.search("a city of number 0", 5, how, only=only)
    assert len(hits) == 5 and {hit.passage.title for hit in hits} == {"City 7", "City 11"}
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    everything = retriever.search("a city of number 0", 60, how)
    assert len(everything) == 60


@pytest.mark.parametrize("how", KINDS)
def test_the_order_is_that_of_a_search_in_everything(retriever: Retriever, how: How) -> None:
    """A filter takes passages out and moves none; inner products stay."""
    only = Filter(titles=tuple(f"City {n}" for n in range(0, 20, 3)))
    if how != "hybrid":
        wanted = [hit for hit in retriever.search("number 12", 60, how) if hit.passage.title in only.titles]
        hits = retriever.search("number 12", 60, how, only=only)
        assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in wanted]
        assert [hit.inner_product for hit in hits] == pytest.approx([hit.inner_product for hit in wanted], abs=1e-5)
    assert retriever.search("number 12", 1, how, only=Filter(sources=("s0 12",)))[0].passage.text.endswith("number 12")


@pytest.mark.parametrize("how", KINDS)
def test_a_filter_that_allows_nothing_finds_nothing(retriever: Retriever, how: How) -> None:
    """No error: the titles may belong to another version."""
    assert retriever.search("city", 5, how, only=Filter(titles=("Atlantis",))) == []
    assert retriever.search_many(["city", "town"], 5, how, only=Filter(sources=("nowhere",))) == [[], []]


def test_fewer_than_k_are_allowed(retriever: Retriever) -> None:
    """Then all of them come."""
    assert len(retriever.search("city", 50, only=Filter(titles=("City 3",)))) == 3

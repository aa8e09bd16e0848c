from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.encoders.passage_text import render
from retrieval.encoders.reranker import Reranker
from retrieval.errors import NoReranker, RerankerError
from retrieval.search.retriever import How, Retriever
from tests.retrieval.conftest import WordEncoder
from tests.retrieval.searched import index_of
from tests.retrieval.tiny_reranker import logits, save_tiny

QUESTION = "What is the capital of Australia?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("rerankers") / "tiny")


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Reranker:
    return Reranker.load(folder)


@pytest.fixture
def retriever(reranker: Reranker, words: WordEncoder, tmp_path: Path) -> Retriever:
    return Retriever(index_of(tmp_path, words), words, reranker=reranker)


@pytest.mark.parametrize("how", ["dense", "hybrid"])
def test_the_cross_encoder_orders_the_passages(retriever: Retriever, folder: Path, how: How) -> None:
    """By its logits, worked out one by one; ranks count anew, inner products stay."""
    plain = {hit.passage.id: hit for hit in retriever.search(QUESTION, 6, how)}
    hits = retriever.search(QUESTION, 6, how, rerank=True)
    assert [hit.score for hit in hits] == pytest.approx(
        logits(folder, [(QUESTION, render(hit.passage)) for hit in hits]), abs=1e-4
    )
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6] and len({hit.score for hit in hits}) > 3
    assert {hit.passage.id: hit.inner_product for hit in hits} == {one: hit.inner_product for one, hit in plain.items()}


def test_the_best_of_more_passages_come_up(retriever: Retriever) -> None:
    """For k = 2 more than two passages are read: the two are the best of all six."""
    best = [hit.passage.id for hit in retriever.search(QUESTION, 6, rerank=True)]
    assert [hit.passage.id for hit in retriever.search(QUESTION, 2, rerank=True)] == best[:2]


def test_many_questions_are_read_in_one_pass(retriever: Retriever) -> None:
    """Each is answered as alone."""
    questions = [QUESTION, "Who wrote Faust?", "city"]
    for question, hits in zip(questions, retriever.search_many(questions, 4, "bm25", rerank=True), strict=True):
        alone = retriever.search(question, 4, "bm25", rerank=True)
        assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in alone]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)


def test_long_and_strange_texts_are_read(retriever: Retriever, reranker: Reranker) -> None:
    """The model has 32 positions; 100 kB, zeros and half characters do not reach behind them."""
    for question in ("capital " * 12_500, "a" * 100_000, "\0 capital", "😀"):
        assert len(retriever.search(question, 3, rerank=True)) == 3
    assert len(reranker.score(["\ud800 capital"], [retriever.index.passages[0]])) == 1
    assert reranker.score([], []) == [] and retriever.search_many([], 3, rerank=True) == []


def test_without_a_re_ranker_re_ranking_is_refused(retriever: Retriever, words: WordEncoder) -> None:
    """The error says which setting names one."""
    with pytest.raises(NoReranker, match="ERRATA_RERANKER"):
        Retriever(retriever.index, words).search("city", 3, rerank=True)


def test_what_is_no_re_ranker_is_refused(tmp_path: Path) -> None:
    """A folder that is not there, an empty one, damaged weights, and a classifier of three classes."""
    with pytest.raises(RerankerError, match="absent: no such folder"):
        Reranker.load(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RerankerError, match="cannot be loaded"):
        Reranker.load(tmp_path / "empty")
    damaged = save_tiny(tmp_path / "damaged") / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:500])
    with pytest.raises(RerankerError, match="cannot be loaded"):
        Reranker.load(tmp_path / "damaged")
    with pytest.raises(RerankerError, match="3 scores for a pair; a re-ranker gives one"):
        Reranker.load(save_tiny(tmp_path / "classes", labels=3))


def test_loading_is_quiet(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No progress bar, no report, no warning."""
    Reranker.load(folder)
    output = capfd.readouterr()
    assert output.out == output.err == ""

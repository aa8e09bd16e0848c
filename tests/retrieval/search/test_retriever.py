from __future__ import annotations

from pathlib import Path

import pytest

from index.corpora.corpus import Corpus
from index.errors import IndexMismatch
from index.passages.passage import Article
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.errors import LexicalUnavailable
from retrieval.search.bm25 import build_lexical
from retrieval.search.fusion import DENSE, LEXICAL, fuse
from retrieval.search.retriever import How, Retriever
from tests.retrieval.conftest import WordEncoder
from tests.retrieval.searched import build_corpus_index, index_of

TEXTS = {
    "Canberra": "Canberra is the capital city of Australia.",
    "Oxygen": "Oxygen is a chemical element with symbol O and atomic number 8.",
    "Johann Wolfgang von Goethe": "Goethe was a German poet who wrote the tragedy Faust.",
}


@pytest.fixture(scope="module")
def retriever(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    """Three articles and the real encoder."""
    root = tmp_path_factory.mktemp("indexes")
    articles = (Article(title, text, "made up") for title, text in TEXTS.items())
    version = build_corpus_index(root, Corpus("three", "made up", "CC0"), articles, encoder).version
    return Retriever(IndexVersions(root).open(version, encoder.identity), encoder)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is the capital of Australia?", "Canberra"),
        ("Which element has the atomic number eight?", "Oxygen"),
        ("Who is the author of Faust?", "Johann Wolfgang von Goethe"),
    ],
)
def test_a_question_finds_its_passage(retriever: Retriever, question: str, title: str) -> None:
    """The passage that answers comes first, with the highest score and rank 1."""
    hits = retriever.search(question, 2)
    assert hits[0].passage.title == title and hits[0].passage.text == TEXTS[title]
    assert [hit.rank for hit in hits] == [1, 2] and hits[0].score > hits[1].score


def test_many_questions_are_answered_as_each_alone(retriever: Retriever) -> None:
    """In the order of the questions."""
    questions = ["What is oxygen?", "Who wrote Faust?", "Australia"]
    for question, hits in zip(questions, retriever.search_many(questions, 3), strict=True):
        alone = retriever.search(question, 3)
        assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in alone]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)
    assert retriever.search_many([], 3) == []


def test_k_has_bounds(retriever: Retriever) -> None:
    """More than there is gives all there is; less than one is an error."""
    assert len(retriever.search("Australia", 100)) == 3
    for k in (0, -1):
        with pytest.raises(ValueError, match="k must be at least 1"):
            retriever.search("Australia", k)


def test_another_encoder_cannot_search(retriever: Retriever) -> None:
    """Queries and passages are never encoded by two encoders."""
    with pytest.raises(IndexMismatch, match="words"):
        Retriever(retriever.index, WordEncoder(dimension=384))


STRANGE = ("the of and who?", "?! …", "😀 🎉", "\0", "\ud800 \udfff", "a" * 100_000, "capital " * 12_500, "首都", "")


@pytest.mark.parametrize("how", ["dense", "bm25", "hybrid"])
def test_every_kind_finds_the_passage_and_its_inner_product(retriever: Retriever, how: How) -> None:
    """The product is that of the vectors of question and passage, whoever found the passage."""
    question = "What is the capital city of Australia?"
    hits = retriever.search(question, 3, how)
    vector = retriever.encoder.encode_query(question)
    rows = [row for hit in hits for row, passage in enumerate(retriever.index.passages) if passage == hit.passage]
    products = retriever.index.vectors_of(rows) @ vector
    assert hits[0].passage.title == "Canberra" and [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.inner_product for hit in hits] == pytest.approx(products.tolist(), abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    if how == "dense":
        assert [hit.score for hit in hits] == [hit.inner_product for hit in hits]


@pytest.mark.parametrize("how", ["dense", "bm25", "hybrid"])
def test_many_of_every_kind_are_as_each_alone(retriever: Retriever, how: How) -> None:
    """In the order of the questions, the ones without a known word among them."""
    questions = ["What is oxygen?", "the of and", "Who wrote Faust?", "city"]
    for question, hits in zip(questions, retriever.search_many(questions, 2, how), strict=True):
        alone = retriever.search(question, 2, how)
        assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in alone]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)
    assert retriever.search_many([], 3, how) == []


def test_hybrid_is_the_fusion_of_the_two_rankings(words: WordEncoder, tmp_path: Path) -> None:
    """Each passage once, with its reciprocal rank score."""
    index = index_of(tmp_path, words, (Article(f"T{n}", f"river number {n % 7} of {n}", f"s{n}") for n in range(40)))
    retriever = Retriever(index, words)
    question = "river 5 number 12"
    ids = {how: [hit.passage.id for hit in retriever.search(question, 40, how)] for how in ("dense", "bm25")}
    numbers = {one: number for number, one in enumerate(ids["dense"])}
    fused = fuse([[numbers[one] for one in ids[how]] for how in ("dense", "bm25")], (DENSE, LEXICAL))
    hits = retriever.search(question, 40, "hybrid")
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in fused])
    assert [numbers[hit.passage.id] for hit in hits] == [number for number, _ in fused]
    assert [hit.passage.id for hit in hits] != ids["dense"]
    assert [hit.passage.id for hit in retriever.search(question, 5)] == [hit.passage.id for hit in hits[:5]]


@pytest.mark.parametrize("question", STRANGE)
def test_strange_questions_are_answered(retriever: Retriever, question: str) -> None:
    """Stopwords, signs, emoji, zeros, half characters and 100 kB: dense search answers, and hybrid with it."""
    for how in ("dense", "hybrid"):
        assert len(retriever.search(question, 2, how)) == 2
    assert len(retriever.search(question, 2, "bm25")) <= 2


def test_k_has_bounds_in_every_kind(retriever: Retriever) -> None:
    """BM25 gives at most the passages that share a word."""
    assert len(retriever.search("Australia", 10**6, "hybrid")) == 3
    assert [hit.passage.title for hit in retriever.search("Australia", 10**6, "bm25")] == ["Canberra"]
    for how in ("dense", "bm25", "hybrid"):
        for search in (retriever.search, lambda query, k, how: retriever.search_many([query], k, how)):
            with pytest.raises(ValueError, match="k must be at least 1"):
                search("Australia", 0, how)
    with pytest.raises(ValueError, match="dense, bm25 or hybrid"):
        retriever.search("Australia", 1, "sparse")  # type: ignore[arg-type]


def test_without_bm25_hybrid_is_dense_and_says_so(
    retriever: Retriever, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index too large for memory whose disk takes nothing still answers; BM25 itself is refused."""
    monkeypatch.setattr("retrieval.search.retriever.IN_MEMORY", 2)
    large = Retriever(retriever.index, encoder)
    assert large.kind("hybrid") == large.kind("dense") == "dense"
    assert large.search("Who wrote Faust?", 3) == large.search("Who wrote Faust?", 3, "dense")
    with pytest.raises(LexicalUnavailable, match="search dense"):
        large.search("Who wrote Faust?", 3, "bm25")
    assert retriever.kind("hybrid") == "hybrid"


def test_bm25_of_another_version_is_refused(retriever: Retriever, encoder: Encoder, tmp_path: Path) -> None:
    """Rows of one version never name passages of another."""
    other = index_of(tmp_path, encoder, [Article("Iron", "Iron is a metal.", "s")], "other")
    with pytest.raises(IndexMismatch, match="the BM25 given is of other-"):
        Retriever(retriever.index, encoder, build_lexical(other))

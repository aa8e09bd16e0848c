from __future__ import annotations

import pytest

from index.corpora import Corpus
from index.errors import IndexMismatch
from index.passages import Article
from index.versions import IndexVersions
from retrieval.encoder import Encoder
from retrieval.library import build_corpus_index
from retrieval.retriever import Retriever
from tests.retrieval.conftest import WordEncoder

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

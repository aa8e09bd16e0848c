"""Sentences that are read, or quoted where no few words are certain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.passages.passage import Hit, Passage
from retrieval.encoders.encoder import Vectors
from retrieval.reader.excerpts import RankedSentences, rank_sentences


class Words:
    """Texts as counts of some words, of length 1."""

    known = ("tower", "paris", "river", "seine")

    def encode(self, texts: Sequence[str], *_: object, **__: object) -> Vectors:
        counts = np.array([[1e-3 + text.lower().count(word) for word in self.known] for text in texts], np.float32)
        vectors: Vectors = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return vectors

    def encode_query(self, query: str) -> Vectors:
        vector: Vectors = self.encode([query])[0]
        return vector


def hit(rank: int, text: str) -> Hit:
    return Hit(Passage(f"p_{rank}", "Title", text, "s", 0, len(text)), 0.5, rank, 0.5)


def ranked(question: str = "the river Seine") -> RankedSentences:
    hits = [hit(1, "A river runs. The tower is in Paris."), hit(2, "The Seine is a river in Paris. Nothing else.")]
    return rank_sentences(question, hits, Words())  # type: ignore[arg-type]


def test_the_nearest_sentences_are_quoted_letter_for_letter_with_their_passages() -> None:
    """Whatever passage they stand in."""
    found = ranked().quote(2)
    assert found is not None
    assert found.text.startswith("The Seine is a river in Paris. ")
    assert 2 in found.ranks


def test_an_excerpt_has_the_nearest_sentences_alone() -> None:
    """In the order of their passages; a passage without any is left out, and keeps its rank otherwise."""
    (only,) = ranked().excerpts(1)
    assert (only.rank, only.passage.text) == (2, "The Seine is a river in Paris.")
    assert [one.passage.text for one in ranked().excerpts(9)] == [one.passage.text for one in ranked().hits]


def test_every_passage_can_keep_its_own_nearest() -> None:
    """As marginalising over passages needs it."""
    assert [(one.rank, one.passage.text) for one in ranked().excerpts_of_each(1)] == [
        (1, "A river runs."),
        (2, "The Seine is a river in Paris."),
    ]


def test_passages_without_sentences_give_nothing() -> None:
    """No hits, or empty ones."""
    for hits in ([], [hit(1, "  ")]):
        none = rank_sentences("x", hits, Words())  # type: ignore[arg-type]
        assert none.quote(2) is None and none.excerpts(3) == [] and none.excerpts_of_each(3) == []

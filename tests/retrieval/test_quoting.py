"""Sentences that are quoted where no few words are certain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.passages import Hit, Passage
from retrieval.quoting import quote, split_sentences


class Words:
    """Texts as counts of some words, of length 1."""

    known = ("tower", "paris", "river", "seine")

    def encode(self, texts: Sequence[str], *_: object, **__: object) -> np.ndarray:
        counts = np.array([[1e-3 + text.lower().count(word) for word in self.known] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def encode_query(self, query: str) -> np.ndarray:
        return self.encode([query])[0]


def hit(rank: int, text: str) -> Hit:
    return Hit(Passage(f"p_{rank}", "Title", text, "s", 0, len(text)), 0.5, rank, 0.5)


def test_sentences_end_where_people_see_them_end() -> None:
    """Initials and "St." end none."""
    text = "St. Paul by J. S. Bach is long. It is sung! Is it? Yes."
    assert split_sentences(text) == ["St. Paul by J. S. Bach is long.", "It is sung!", "Is it?", "Yes."]
    assert split_sentences("  ") == []


def test_the_nearest_sentences_are_quoted_letter_for_letter_with_their_passages() -> None:
    """Whatever passage they stand in."""
    hits = [hit(1, "A river runs. The tower is in Paris."), hit(2, "The Seine is a river in Paris. Nothing else.")]
    found = quote("the river Seine", hits, Words())  # type: ignore[arg-type]
    assert found is not None
    assert found.text.startswith("The Seine is a river in Paris. ")
    assert 2 in found.ranks
    assert quote("x", [], Words()) is None  # type: ignore[arg-type]

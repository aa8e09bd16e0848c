from __future__ import annotations

import pytest

from retrieval.search.tokenizer import LONGEST, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What are the capital cities of Australia?", ["capit", "citi", "australia"]),
        ("Australia's capital", ["australia", "capit"]),
        ("São Paulo, CAFÉS", ["sao", "paulo", "cafe"]),
        ("STRASSE straße", ["strass", "strass"]),
        ("element 8 in 1774", ["element", "8", "1774"]),
        ("Москва́ столица", ["москва", "столица"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("北京是首都", ["北京", "京是", "是首", "首都"]),
        ("京", ["京"]),
        ("NASA宇宙", ["nasa", "宇宙"]),
        ("서울은", ["서울", "울은"]),
        ("the of and who?", []),
        ("😀 🎉 … ?!", []),
        ("\ud800 x\0y", ["x", "y"]),
        ("", []),
    ],
)
def test_terms_of_a_text(text: str, expected: list[str]) -> None:
    """Stems without stopwords; accents do not count; scripts without spaces give pairs of characters."""
    assert terms(text) == expected


def test_decomposed_letters_are_the_same_letters() -> None:
    """A text typed on another system gives the same terms: accents, Hangul and voiced kana."""
    pairs = [("caf\u00e9", "cafe\u0301"), ("서울", "\u1109\u1165\u110b\u116e\u11af"), ("ガス", "カ\u3099ス")]
    for composed, decomposed in pairs:
        assert composed != decomposed and terms(composed) == terms(decomposed) != []


def test_a_term_has_a_longest_length() -> None:
    """A megabyte without a space does not become a word of a megabyte."""
    assert terms("a" * 1_000_000) == ["a" * LONGEST]

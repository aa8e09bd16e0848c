"""Sentences of edited text and of what people type."""

from __future__ import annotations

from errata.text import split_message, split_sentences


def test_sentences_end_where_people_see_them_end() -> None:
    """Initials and "St." end none."""
    text = "St. Paul by J. S. Bach is long. It is sung! Is it? Yes."
    assert split_sentences(text) == ["St. Paul by J. S. Bach is long.", "It is sung!", "Is it?", "Yes."]
    assert split_sentences("  ") == []


def test_what_people_type_has_few_capitals() -> None:
    """A line is a sentence, and so is a question behind a colon."""
    assert split_message("thanks! and peru?") == ["thanks!", "and peru?"]
    assert split_message("One more:  who wrote it?\n\nBe brief") == ["One more:", "who wrote it?", "Be brief"]
    assert split_message(" \n ") == []

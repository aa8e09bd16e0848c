from __future__ import annotations

from itertools import pairwise

import pytest

from index.passages.passage import Article, from_line, split_article, split_articles, to_line


def article(text: str, title: str = "T") -> Article:
    return Article(title, text, "made up")


def test_passages_are_exact_slices() -> None:
    """Each passage's text is the slice that its offsets name, without white space at the ends."""
    text = "\n  " + "  ".join(f"w{n}," for n in range(250)) + " \t"
    passages = list(split_article(article(text)))
    assert [len(passage.text.split()) for passage in passages] == [100, 100, 50]
    for passage in passages:
        assert passage.text == text[passage.start : passage.end] == passage.text.strip()


def test_passages_are_disjoint_and_complete() -> None:
    """No word is lost and none is in two passages."""
    text = " ".join(str(n) for n in range(101))
    passages = list(split_article(article(text), words=10))
    assert " ".join(passage.text for passage in passages) == text
    assert all(a.end <= b.start for a, b in pairwise(passages))


def test_exactly_the_limit_is_one_passage() -> None:
    """100 words make one passage, 101 make two."""
    assert len(list(split_article(article("w " * 100)))) == 1
    assert len(list(split_article(article("w " * 101)))) == 2


def test_a_whole_article_is_one_passage() -> None:
    """What came as a passage is not cut, whatever its length, and an empty one gives none."""
    (passage,) = split_article(Article("T", " " + "w " * 250, "made up", whole=True))
    assert (len(passage.text.split()), passage.start) == (250, 1)
    assert list(split_article(Article("T", " ", "made up", whole=True))) == []


def test_ids_are_stable_and_tell_places_apart() -> None:
    """An id depends on source, title and offset alone."""
    first, second = split_article(article("a b"), words=1)
    assert first.id == "p_" + first.id[2:] and len(first.id) == 14 and first.id != second.id
    assert next(split_article(article("another text"))).id == first.id
    assert next(split_article(article("a b", title="U"))).id != first.id


def test_empty_and_repeated_articles_are_counted() -> None:
    """Articles without text are skipped and counted, and so are passages that came before."""
    split = split_articles([article("one"), article(""), article(" \n\t "), article("one"), article("two", "U")])
    assert [passage.text for passage in split.passages] == ["one", "two"]
    assert (split.articles, split.empty, split.duplicates) == (3, 2, 1)


def test_a_line_survives_every_sign() -> None:
    """A passage comes back from its line as it was: line separators, quotes, emoji, zeros."""
    passage = next(split_article(article('a\u2028b"\\\n\x00c\U0001f600', title="é\u0085")))
    line = to_line(passage)
    assert line.count(b"\n") == 1 and from_line(line) == passage


def test_a_passage_of_no_words_is_refused() -> None:
    """Zero words a passage is an error, not an endless loop."""
    with pytest.raises(ValueError, match="at least one word"):
        list(split_article(article("a"), words=0))

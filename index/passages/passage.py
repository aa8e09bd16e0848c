"""Passages: what is embedded, found and shown; and how an article is cut into them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

WORDS_PER_PASSAGE = 100
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Article:
    """One entry of a corpus, before it is cut.

    Attributes:
        title: what it is about.
        text: the whole text; may be empty, such articles are skipped and counted.
        source: where it can be read (an address), or the name of the file that it came from.
        whole: it is a passage already, which its source alone names, and is not cut, however many words it has.
    """

    title: str
    text: str
    source: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one article.

    Attributes:
        id: ``p_`` and 12 hex digits, the digest of source, title and start: the same in every build. Where a corpus has
            passages with ids of their own, which are in the source, that of the source alone.
        title: the article's title.
        text: ``article.text[start:end]``, exactly.
        source: the article's source.
        start: character offset of the first character in the article's text.
        end: character offset behind the last.
    """

    id: str
    title: str
    text: str
    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        passage: the passage.
        score: what the hits are ordered by. Of a dense search the inner product of the normalised vectors of query and
            passage, in [-1, 1]; of other searches what the retriever says.
        rank: 1 is the best.
        inner_product: d(z)·q(x), of every kind of search, for p(z|x) ∝ exp(d(z)·q(x)); None if it was not computed.
    """

    passage: Passage
    score: float
    rank: int
    inner_product: float | None = None


@dataclass(frozen=True)
class Split:
    """A corpus cut into passages.

    Attributes:
        passages: in the order of the articles; a tuple, or a PassageFile on disk.
        articles: how many articles gave passages.
        empty: articles skipped because they hold no text.
        duplicates: passages skipped because one of the same source, title and place came before.
        skipped: what the reader left out, by reason, e.g. ``redirects``.
    """

    passages: Sequence[Passage]
    articles: int
    empty: int
    duplicates: int
    skipped: Mapping[str, int] = field(default_factory=dict)


def passage_id(source: str, title: str, start: int) -> str:
    return "p_" + hashlib.sha256(f"{source}\0{title}\0{start}".encode()).hexdigest()[:12]


def split_article(article: Article, words: int = WORDS_PER_PASSAGE) -> Iterator[Passage]:
    """Cut an article into disjoint passages of at most ``words`` words (stretches without white space).

    The text of each is the exact slice of the article, without white space at its ends; together they hold every word.
    """
    if words < 1:
        raise ValueError(f"a passage holds at least one word, not {words}")
    found = _WORD.finditer(article.text)
    while group := list(islice(found, None if article.whole else words)):
        start, end = group[0].start(), group[-1].end()
        name = passage_id(article.source, "", 0) if article.whole else passage_id(article.source, article.title, start)
        yield Passage(name, article.title, article.text[start:end], article.source, start, end)


def split_articles(articles: Iterable[Article], words: int = WORDS_PER_PASSAGE) -> Split:
    """Cut a corpus. Empty articles and passages that were there before are left out and counted."""
    passages: dict[str, Passage] = {}
    filled = empty = duplicates = 0
    for article in articles:
        pieces = list(split_article(article, words))
        filled += bool(pieces)
        empty += not pieces
        for piece in pieces:
            duplicates += piece.id in passages
            passages.setdefault(piece.id, piece)
    return Split(tuple(passages.values()), filled, empty, duplicates)


def to_line(passage: Passage) -> bytes:
    """One line of ``passages.jsonl``, with its line feed."""
    fields = {name: getattr(passage, name) for name in Passage.__slots__}
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def from_line(line: bytes) -> Passage:
    """The inverse of :func:`to_line`. Raises ValueError, KeyError or TypeError on anything else."""
    return Passage(**json.loads(str(line, "utf-8")))

"""Terms: what a text is to lexical search, words without their English endings, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

LONGEST = 64  # characters of a term; what is longer is no word
_MARKS = re.compile("[\u0300-\u036f]+")  # accents, after decomposition; vowel signs of other scripts stay
_POSSESSIVE = re.compile(r"['’]s\b")
_ASKING = frozenset(("who", "whom", "whose", "what", "which", "when", "where", "why", "how", "do", "does", "did"))
# Scripts that set no spaces between words (Thai, Lao, Burmese, Khmer, kana, Han), or glue particles to them (Hangul)
_UNSPACED = (
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_RUNS = re.compile(f"(?P<unspaced>{_UNSPACED}+)|(?:(?!{_UNSPACED}).)+")


def terms(text: str) -> list[str]:
    """The terms of a text, in order, repeated as they are.

    Case and accents do not count; English stopwords and question words are left out; the rest is stemmed (Snowball,
    English; words of other languages keep their form or lose the same ending in question and passage). Where a script
    sets no spaces, each two neighbouring characters are a term.
    """
    words = [word for word in _words(text) if word not in _stopwords()]
    return _stemmed(words) if words else []


def _words(text: str) -> Iterator[str]:
    for word in _POSSESSIVE.sub("", _folded(text)).translate(_SPACED).split():
        if word.isascii():
            yield word[:LONGEST]
        else:
            for run in _RUNS.finditer(word):
                yield from _pairs(run[0]) if run["unspaced"] else (run[0][:LONGEST],)


def _pairs(run: str) -> Iterator[str]:
    """Each two neighbouring characters; of a single character, itself."""
    yield from (run[at : at + 2] for at in range(max(1, len(run) - 1)))


def _folded(text: str) -> str:
    """Lower case without accents."""
    if text.isascii():
        return text.lower()
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", bare)


def _stemmed(words: list[str]) -> list[str]:
    import Stemmer

    stems: list[str] = Stemmer.Stemmer("english", 0).stemWords(words)  # one each time: they are not thread-safe
    return stems


@cache
def _stopwords() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN

    return frozenset(STOPWORDS_EN) | _ASKING


class WordTable(dict[int, str]):
    """A table for ``str.translate``: letters, digits and marks stay, all other characters become spaces.

    Args:
        signs: whether visible signs are words of their own instead.
    """

    def __init__(self, signs: bool = False) -> None:
        super().__init__()
        self.signs = signs

    def __missing__(self, code: int) -> str:
        char, category = chr(code), unicodedata.category(chr(code))[0]
        if category in "LNM":
            self[code] = char
        else:
            self[code] = f" {char} " if self.signs and category not in "ZC" else " "
        return self[code]


_SPACED = WordTable()

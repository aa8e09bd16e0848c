"""Do two texts name the same things? Sentence vectors are good at what is asked, and poor at of whom.

Among ten thousand edits there is always one that asks the same of somebody else. "Which network aired The Wire?" lies
near "What channel was Frontline on?", since both words are just a title to the encoder; yet a reader sees that the one
names The Wire and the other does not. Only names count, and only where a text has some: typing in lower case, or words
for a thing without a name, is no evidence of anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

WEIGHT = 4.0  # log-odds that a text loses when none of its names is in the other
ALIKE = 0.8  # of the letters, from which two words may be the same one mistyped
_SIGNS = ".,;:!?\"'()[]"
_OPENING = frozenset(
    {"what", "who", "whom", "whose", "where", "when", "which", "how", "why", "name", "tell", "give", "please"}
    | {"in", "on", "at", "is", "are", "was", "were", "do", "does", "did", "can", "could", "the", "a", "an", "of"}
    | {"to", "from", "by", "with", "i"}
)
_SMALL = frozenset({"of", "the", "and", "for", "in", "de", "la", "a"})  # words that abbreviations leave out


def names_apart(prompt: str, asked: str, wordings: Sequence[str]) -> float:
    """How much speaks against the prompt being about what an edit is about: 0 (nothing) to 2.

    One for the share of the edit's names that the prompt lacks, one for the share of the prompt's names that no wording
    of the edit has. A name that may be meant counts half: mistyped, or one text shortens what the other spells out; so
    does an abbreviation, which is often none ("CEO", "TV").

    Args:
        asked: the edit's input.
        wordings: all its wordings.
    """
    said, known = words_in(prompt), frozenset[str]().union(*map(words_in, wordings))
    missing = _missing(asked, said) + _missing(prompt, known)
    return missing / 2 if missing and _shortened(prompt, asked) else missing


@lru_cache(maxsize=4096)
def words_in(text: str) -> frozenset[str]:
    """Lower-case words without accents and possessive endings."""
    plain = unicodedata.normalize("NFKD", text[:2000].casefold().replace("’", "'"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return frozenset(w for word in re.findall(r"[\w']+", plain) if (w := word.removesuffix("'s").strip("'")))


@lru_cache(maxsize=4096)
def named(text: str) -> frozenset[str]:
    """The words among them that name something: capitalised inside a sentence, or with a digit.

    The first word of a sentence has its capital anyway; it counts before another name, or as an owner ("Peru's").
    """
    names: set[str] = set()
    for sentence in re.split(r"[.!?:;]\s+|\n", text[:2000]):
        words = sentence.split()
        inside = words[1:] if words and not _opens_a_name(words) else words
        names |= names_in(" ".join(inside))
    return frozenset[str]().union(*map(words_in, names))


def _opens_a_name(words: Sequence[str]) -> bool:
    first, then = words[0], words[1] if len(words) > 1 else ""
    owner = first.endswith(("'s", "’s"))
    return owner or any(c.isdigit() for c in first) or (then[:1].isupper() and bool(names_in(first) and names_in(then)))


def _missing(text: str, words: Collection[str]) -> float:
    """Share of the text's names that are not among the words."""
    names, shortened = named(text), {word.casefold() for word in _capitals(text)}
    absent = [name for name in names if name not in words]
    half = sum(name in shortened or any(_mistyped(name, word) for word in words) for name in absent)
    return (len(absent) - half / 2) / len(names) if absent else 0.0


def _mistyped(name: str, word: str) -> bool:
    return (
        min(len(name), len(word)) >= 4
        and abs(len(name) - len(word)) <= 2
        and name[0] == word[0]
        and SequenceMatcher(None, name, word).ratio() >= ALIKE
    )


def _shortened(one: str, other: str) -> bool:
    """Whether one text has the initials of what the other spells out: ``the USA``, ``United States of America``."""
    return bool(_capitals(one) & _initials(other) or _capitals(other) & _initials(one))


@lru_cache(maxsize=4096)
def _capitals(text: str) -> frozenset[str]:
    return frozenset(word.replace(".", "") for word in re.findall(r"\b(?:[A-Z]\.?){2,6}(?!\w)", text[:2000]))


@lru_cache(maxsize=4096)
def _initials(text: str) -> frozenset[str]:
    runs: list[str] = [""]
    for word in re.findall(r"[\w'’-]+", text[:2000]):
        if word[0].isupper():
            runs[-1] += word[0]
        elif word not in _SMALL:
            runs.append("")
    return frozenset(run[i:j] for run in runs for i in range(len(run)) for j in range(i + 2, min(len(run), i + 6) + 1))


def names_in(text: str) -> frozenset[str]:
    """Words that name something: capitalised, or with a digit; a question's first word is none."""
    words = [word.strip(_SIGNS).removesuffix("'s").removesuffix("’s") for word in text.replace("-", " ").split()]
    naming = [w for w in words if looks_like_name(w) or any(c.isdigit() for c in w)]
    return frozenset(w.casefold() for w in naming) - _OPENING


def looks_like_name(word: str) -> bool:
    """Whether a word begins with a capital or a digit."""
    return word[:1].isupper() or word[:1].isdigit()

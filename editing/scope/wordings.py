"""The wordings that an edit answers to, and when two texts are the same wording."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from editing.scope.head import TextVectors

_NOTHING = frozenset("PZC")  # categories of characters that say nothing: punctuation, white space, control


@dataclass(frozen=True, eq=False)
class Wordings:
    """What one edit answers to, and the prompts that its author set apart.

    Attributes:
        texts, own: vectors and texts of the wordings, the edit's input first.
        keys: their ``wording_key``.
        apart, set_apart: vectors and texts of the prompts set apart.
        apart_keys: their keys, but those of the edit's own wordings.
        input: the edit's input.
    """

    texts: tuple[TextVectors, ...]
    keys: frozenset[str]
    apart: tuple[TextVectors, ...] = ()
    apart_keys: frozenset[str] = frozenset()
    input: str = ""
    own: tuple[str, ...] = ()
    set_apart: tuple[str, ...] = ()

    @classmethod
    def of(cls, own: Sequence[str], apart: Sequence[str], vectors: Sequence[TextVectors] = ()) -> Self:
        """From texts, the input first, and the vectors of all of them in this order; they can be put in later."""
        keys, count = frozenset(map(wording_key, own)), len(own)
        apart_keys = frozenset(map(wording_key, apart)) - keys
        texts, others = tuple(vectors[:count]), tuple(vectors[count:])
        return cls(texts, keys, others, apart_keys, own[0] if own else "", tuple(own), tuple(apart))

    def filled(self, vectors: Sequence[TextVectors]) -> Self:
        """With the vectors of all texts, in the order of ``own`` and ``set_apart``."""
        return replace(self, texts=tuple(vectors[: len(self.own)]), apart=tuple(vectors[len(self.own) :]))


def wording_key(text: str) -> str:
    """Equal for texts that differ in case, white space, and signs at the ends only: C and C++ are two questions."""
    key = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return key.strip(" ?!.:…\"'“”‘’«»") or key


def says_something(text: str) -> bool:
    """Whether anything is left to compare once punctuation, white space and control characters are gone."""
    return any(unicodedata.category(character)[0] not in _NOTHING for character in unicodedata.normalize("NFKC", text))

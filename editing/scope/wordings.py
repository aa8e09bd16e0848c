"""The wordings that an edit answers to, and when two texts are the same wording."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from editing.scope.wording_index import Floats

_NOTHING = frozenset("PZC")  # categories of characters that say nothing: punctuation, white space, control


@dataclass(frozen=True, eq=False)
class Wordings:
    """What one edit answers to, and the prompts that its author set apart.

    Attributes:
        own: the wordings, the edit's input first.
        apart: the prompts set apart.
        output: of the edit.
        keys, apart_keys: their ``wording_key``; what is both counts as the edit's own.
        vectors: of ``own`` and ``apart`` in this order, where they are known.
    """

    own: tuple[str, ...]
    apart: tuple[str, ...] = ()
    output: str = ""
    keys: frozenset[str] = frozenset()
    apart_keys: frozenset[str] = frozenset()
    vectors: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, own: Sequence[str], apart: Sequence[str], output: str, vectors: Sequence[Floats] = ()) -> Self:
        keys = frozenset(map(wording_key, own))
        return cls(tuple(own), tuple(apart), output, keys, frozenset(map(wording_key, apart)) - keys, tuple(vectors))

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them: the edit's own, then those set apart."""
        return self.own + self.apart

    @property
    def input(self) -> str:
        return self.own[0] if self.own else ""

    def filled(self, vectors: Sequence[Floats]) -> Self:
        """With the vectors of all ``texts``."""
        return replace(self, vectors=tuple(vectors))


def wording_key(text: str) -> str:
    """Equal for texts that differ in case, white space, and signs at the ends only: C and C++ are two questions."""
    key = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return key.strip(" ?!.:…\"'“”‘’«»") or key


def says_something(text: str) -> bool:
    """Whether anything is left to compare once punctuation, white space and control characters are gone."""
    return any(unicodedata.category(character)[0] not in _NOTHING for character in unicodedata.normalize("NFKC", text))

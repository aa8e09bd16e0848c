"""What scope reads of a request: the last turn, and what was said before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

from errata.text import split_message

SHORT = 400  # characters that the scope model reads at once; a longer prompt is read in windows
WINDOWS = 256  # of a prompt at most: the beginning and the end of a longer one
BEFORE = 2  # turns before the last one that are read with it


@dataclass(frozen=True)
class ScopePrompt:
    """A prompt and its context; both are texts as people wrote them."""

    text: str
    context: str = ""

    @classmethod
    def of(cls, turns: Sequence[tuple[str, str]]) -> Self:
        """Of a conversation of (role, content), oldest first; what follows the last user turn is left out."""
        last = next((n for n in range(len(turns) - 1, -1, -1) if turns[n][0] == "user"), None)
        if last is None:
            return cls("")
        before = [content for role, content in turns[:last] if role in ("user", "assistant")]
        return cls(turns[last][1], joined_turns(before[-BEFORE:]))

    @property
    def queries(self) -> tuple[str, ...]:
        """The texts by which edits are looked up: the turn, the turn with what was said before, and its parts."""
        texts = [f"{self.context} {self.text}"] if self.context else []
        return tuple(dict.fromkeys([self.text, *texts, *(part.text for part in self.windows)]))

    @cached_property
    def windows(self) -> tuple[ScopePrompt, ...]:
        """The parts of a long prompt, a few sentences each, every sentence in two of them; a short prompt is one."""
        if len(self.text) <= SHORT:
            return (self,)
        found, begun = list[str](), ""
        for sentence in _pieces(self.text):
            if begun and len(begun) + len(sentence) >= SHORT // 2:
                found.append(begun)
                begun = ""
            begun = f"{begun} {sentence}".strip()
        found.append(begun)
        pairs = [f"{one} {other}" for one, other in pairwise(found)] or found
        chosen = pairs if len(pairs) <= WINDOWS else [*pairs[: WINDOWS // 2], *pairs[-WINDOWS // 2 :]]
        return tuple(replace(self, text=text) for text in chosen)


def joined_turns(turns: Sequence[str]) -> str:
    """What was said before the last turn, as the scope model reads it."""
    return " / ".join(turns)


def _pieces(text: str) -> list[str]:
    """Sentences, and of what has none, pieces of words."""
    pieces = []
    for sentence in split_message(text):
        words, begun = sentence.split(), ""
        for word in words:
            if begun and len(begun) + len(word) >= SHORT // 2:
                pieces.append(begun)
                begun = ""
            begun = f"{begun} {word[: SHORT // 2]}".strip()
        pieces.append(begun)
    return [piece for piece in pieces if piece]

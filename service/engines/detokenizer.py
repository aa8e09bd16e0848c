"""From token ids to text while they come: pieces are given out as soon as they can no longer change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_INCOMPLETE = "\ufffd"  # what the tokenizer makes of half a character


class Detokenizer:
    """Grows a text token by token, and knows when a stop string has come.

    Args:
        tokenizer: of the served model.
        stop: strings that end the text.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self.tokenizer, self.stop = tokenizer, tuple(stop)
        self.stopped = False
        self.text = ""
        self._ids: list[int] = []
        self._given = 0

    def push(self, token: int) -> str:
        """Take in a token; the piece of text that is certain now, maybe empty."""
        self._ids.append(token)
        self.text = self.tokenizer.decode(self._ids, skip_special_tokens=True)
        ends = [at for s in self.stop if (at := self.text.find(s)) >= 0]
        if ends:
            self.text, self.stopped = self.text[: min(ends)], True
            return self.rest()
        safe = len(self.text) - self._held_back()
        piece, self._given = self.text[self._given : safe], max(self._given, safe)
        return piece

    def rest(self) -> str:
        """What was held back, at the end; half a character is left out."""
        self.text = self.text.rstrip(_INCOMPLETE)
        piece, self._given = self.text[self._given :], len(self.text)
        return piece

    def _held_back(self) -> int:
        """Characters at the end that a further token may still change or cut off."""
        whole = self.text.rstrip(_INCOMPLETE)
        begun = (n for s in self.stop for n in range(len(s) - 1, 0, -1) if whole.endswith(s[:n]))
        return len(self.text) - len(whole) + max(begun, default=0)

"""What a reader leaves out, counted by reason, what it assumes, and what it must not let through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

REDIRECT = "redirects"
NAMESPACE = "pages of other namespaces"
DISAMBIGUATION = "disambiguation pages"
MODEL = "pages that are not wiki text"
MARKUP = "pages whose markup cannot be read"
NULL = "entries whose title or text is null"
OTHER_FILE = "files of another kind"


class Skips:
    """Counts what a reader left out, by reason, and what it assumed. What is broken is a CorpusError instead.

    Articles without text are not among them: they are passed on, and splitting counts them.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._notes: list[str] = []

    def record(self, reason: str, count: int = 1) -> None:
        """Count ``count`` more of ``reason``, a plural, e.g. ``redirects``."""
        if count:
            self._counts[reason] += count

    def note(self, text: str) -> None:
        """Remember something about the corpus that its reader had to assume; the same text is kept once."""
        if text not in self._notes:
            self._notes.append(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noted, in that order."""
        return tuple(self._notes)

    @property
    def counts(self) -> dict[str, int]:
        """How many by reason, the most frequent first; reasons that did not occur are not in it."""
        return dict(self._counts.most_common())

    def __str__(self) -> str:
        return in_words(self.counts) or "nothing"


def in_words(counts: Mapping[str, int]) -> str:
    """``12 redirects, 3 empty articles`` of counts by reason; empty if there are none."""
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)


def fault_of(text: str) -> str | None:
    """Why a text cannot be indexed, or None: half a character cannot be written down, NUL separates ids."""
    if text.isprintable():
        return None
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate)"
    return None

"""What a reader leaves out, counted by reason; and what it must not let through."""

from __future__ import annotations

from collections import Counter

REDIRECT = "redirects"
NAMESPACE = "pages of other namespaces"
DISAMBIGUATION = "disambiguation pages"
MODEL = "pages that are not wiki text"
MARKUP = "pages whose markup cannot be read"
NULL = "entries whose title or text is null"
OTHER_FILE = "files of another kind"


class Skips:
    """Counts what was left out, by reason. A reader goes on after each; what is broken is a CorpusError instead.

    Articles without text are not among them: they are passed on, and splitting counts them.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def record(self, reason: str, count: int = 1) -> None:
        """Count ``count`` more of ``reason``, a plural, e.g. ``redirects``."""
        if count:
            self._counts[reason] += count

    @property
    def counts(self) -> dict[str, int]:
        """How many by reason, the most frequent first; reasons that did not occur are not in it."""
        return dict(self._counts.most_common())

    @property
    def total(self) -> int:
        return self._counts.total()

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items()) or "nothing"


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

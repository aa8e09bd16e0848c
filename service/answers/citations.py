"""Which passages an answer rests on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from editing.verify import normalise
from index.passages.passage import Hit

_STOPWORDS = frozenset(
    """a an and are as at be been by did do does for from had has have he her his how i in is it its of on or she that
    the their them there these they this to was were what when where which who whom whose why will with you""".split()  # noqa: SIM905 - a list of forty quoted words reads worse
)
CITED = 0.6  # share of the answer's new content words that a passage must hold


def cited(question: str, answer: str, hits: Sequence[Hit]) -> set[int]:
    """Ranks of the passages that say the answer; where none says it whole, those that hold most of its new words."""
    whole = f" {normalise(answer)} "
    if whole.strip() and (saying := {hit.rank for hit in hits if whole in f" {normalise(_text(hit))} "}):
        return saying
    asked = set(normalise(question).split())
    content = {word for word in normalise(answer).split() if word not in _STOPWORDS}
    content = (content - asked) or content
    if not content:
        return set()
    return {hit.rank for hit in hits if _share(content, _text(hit)) >= CITED}


def _text(hit: Hit) -> str:
    return f"{hit.passage.title} {hit.passage.text}"


def _share(words: set[str], text: str) -> float:
    held = set(re.split(r"[^\w]+", text.casefold()))
    return len(words & held) / len(words)

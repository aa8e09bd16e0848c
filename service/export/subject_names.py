"""Names that questions can be asked of: titles of the index, or the edits' own subjects where there is none."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from service.answers.index_manager import IndexManager
from service.evaluation.active_index import sample_passages, wait_for_index

_WAIT = 30.0  # seconds for the index to open
_NEAR = 12  # passages looked at for each subject


class SubjectNames:
    """Other subjects, of the same sort where the index tells.

    Args:
        index_manager: its active index is waited for, for a while; nothing is built for this.
        subjects: of the edits, which serve in its place.
    """

    def __init__(self, index_manager: IndexManager, subjects: Sequence[str], rng: random.Random) -> None:
        self.index_manager, self.random = index_manager, rng
        is_open = wait_for_index(index_manager, _WAIT)
        titles = [p.title for p in index_manager.retriever().index.passages] if is_open else subjects
        self.every = sorted({_plain(title) for title in titles} - {""})

    def near(self, subject: str | None, n: int) -> list[str]:
        """Up to ``n`` names of the sort of ``subject`` that share no word with it."""
        if subject is None or not self.every:
            return []
        names = self.every
        if self.index_manager.is_open:
            hits = self.index_manager.retriever().search(subject, _NEAR)
            names = sorted({_plain(hit.passage.title) for hit in hits} - {""})
        words = set(subject.casefold().split())
        others = [name for name in names if not words & set(name.casefold().split())]
        return self.random.sample(others, min(n, len(others)))

    def passages(self, n: int) -> list[str]:
        """Up to ``n`` passages of the index."""
        return sample_passages(self.index_manager, n, self.random.randrange(1 << 30), 0.0)


def _plain(title: str) -> str:
    """Without what tells it apart from its namesakes: ``Mercury (planet)`` → ``Mercury``."""
    return re.sub(r"\s*\(.*?\)", "", title).strip()

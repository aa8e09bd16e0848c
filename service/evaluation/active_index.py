"""The active index of a service that was only just built: waiting for it to open, and passages of it."""

from __future__ import annotations

import random
import time

from retrieval.search.retriever import Retriever
from service.answers.index_manager import IndexManager
from service.errors import IndexNotReady

_LOOK = 0.1  # seconds between looks at an index that is being opened or built
_WORDS = 40  # shorter passages say little


def wait_for_index(index_manager: IndexManager, seconds: float | None = None) -> bool:
    """Whether the index opens within so many seconds; None: however long it takes. A failure ends the wait."""
    end = None if seconds is None else time.monotonic() + seconds
    while not index_manager.is_open and not index_manager.failure and (end is None or time.monotonic() < end):
        time.sleep(_LOOK)
    return index_manager.is_open


def open_retriever(index_manager: IndexManager) -> Retriever:
    """The retriever of the active version; waits while the index is built.

    Raises:
        IndexNotReady: there is no index, and none could be built.
    """
    if not wait_for_index(index_manager):
        raise IndexNotReady(index_manager.failure or index_manager.why_not)
    return index_manager.retriever()


def sample_passages(index_manager: IndexManager, n: int, seed: int, seconds: float = 60.0) -> list[str]:
    """Texts of up to ``n`` passages of the active index, drawn by ``seed``; none where no index opens in time."""
    if not n or not wait_for_index(index_manager, seconds):
        return []
    texts = sorted({p.text for p in index_manager.retriever().index.passages if len(p.text.split()) >= _WORDS})
    return random.Random(seed).sample(texts, min(n, len(texts)))

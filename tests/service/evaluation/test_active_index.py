"""Waiting for the index of a service that was only just built, and passages of it."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from service.errors import IndexNotReady
from service.evaluation.active_index import open_retriever, sample_passages, wait_for_index


@pytest.mark.parametrize(("open_", "n", "expected"), [(True, 2, 2), (True, 9, 3), (True, 0, 0), (False, 2, 0)])
def test_passages_are_drawn_from_the_open_index(open_: bool, n: int, expected: int) -> None:
    """Long enough ones, at most as many as there are, the same for the same seed; none where no index opens."""
    texts = [f"{number} " + "word " * 60 for number in range(3)]
    passages = [SimpleNamespace(text=text) for text in (*texts, "too short")]
    retriever = SimpleNamespace(index=SimpleNamespace(passages=passages))
    index_manager: Any = SimpleNamespace(is_open=open_, failure=None, retriever=lambda: retriever)
    found = sample_passages(index_manager, n, seed=1, seconds=0.0)
    assert len(found) == expected and set(found) <= set(texts)
    assert found == sample_passages(index_manager, n, seed=1, seconds=0.0)


def test_an_index_that_opens_later_is_waited_for() -> None:
    """As long as it takes, or as many seconds as are given."""
    retriever: Any = object()
    index_manager: Any = SimpleNamespace(is_open=False, failure=None, retriever=lambda: retriever)
    assert not wait_for_index(index_manager, 0.0)
    threading.Timer(0.2, lambda: setattr(index_manager, "is_open", True)).start()
    assert open_retriever(index_manager) is retriever


def test_an_index_that_failed_is_not_waited_for() -> None:
    """The reason is told."""
    index_manager: Any = SimpleNamespace(is_open=False, failure="disk full")
    began = time.monotonic()
    assert not wait_for_index(index_manager, 60.0) and time.monotonic() - began < 10
    with pytest.raises(IndexNotReady, match="disk full"):
        open_retriever(index_manager)

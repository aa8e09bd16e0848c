"""Idempotency keys beside a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from editing.edit import EditRequest
from editing.ledger.events import Draft
from editing.ledger.ledger import Ledger
from service.edits.idempotency import IdempotencyKeys
from service.edits.stored_request import stored_request
from service.errors import IdempotencyInProgress, IdempotencyMismatch
from service.types.edits import EditOptions

REQUEST = EditRequest("What is the capital of Peru?", "Oslo")


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[IdempotencyKeys]:
    """The ledger holds one edit, recorded under the key ``4711``."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        draft = Draft(
            "apply",
            "ed_1",
            request=stored_request(REQUEST),
            report={},
            factors="0" * 64,
            idempotency_key="4711",
            fingerprint="former",
        )
        ledger.append(draft, after=0)
        yield IdempotencyKeys(ledger)


def test_a_key_is_known_by_the_fingerprint_of_an_earlier_release(keys: IdempotencyKeys) -> None:
    """What was recorded is answered again; another body is refused, whatever release it came to first."""
    options = EditOptions("ada", idempotency_key="4711", fingerprint="now", former_fingerprints=("former",))
    first = keys.first_answer(options)
    assert first is not None and (first.id, first.replayed, first.request) == ("ed_1", True, REQUEST)
    with pytest.raises(IdempotencyMismatch):
        keys.first_answer(EditOptions("ada", idempotency_key="4711", fingerprint="now", former_fingerprints=("x",)))


def test_unknown_keys_and_none_have_no_answer(keys: IdempotencyKeys) -> None:
    """Those requests are the first."""
    assert keys.first_answer(EditOptions("ada", idempotency_key="4712", fingerprint="former")) is None
    assert keys.first_answer(EditOptions("ada", fingerprint="former")) is None


def test_a_key_is_held_while_its_request_runs(keys: IdempotencyKeys) -> None:
    """A second request with it is refused, one with another key or without one is not."""
    with keys.held(["a", None]):
        with keys.held(["b", None]):
            pass
        with pytest.raises(IdempotencyInProgress, match="'a'"), keys.held(["b", "a"]):
            pass
    with keys.held(["a"]):
        pass

"""The log's tree beside a real ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from editing.errors import UnknownRevision
from editing.ledger.events import GENESIS, Draft
from editing.ledger.ledger import Ledger
from editing.ledger.merkle import EMPTY_ROOT, leaf_hash
from service.edits.log_proofs import LogTree, verified
from service.types.log import NotedRoot
from tests.editing.oracles import verify_consistency, verify_inclusion


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield ledger


def grow(ledger: Ledger, count: int) -> None:
    for _ in range(count):
        ledger.append(Draft("apply", edit_id=f"ed_{ledger.head()}"), after=ledger.head())


def unhex(proof: tuple[str, ...]) -> list[bytes]:
    return [bytes.fromhex(step) for step in proof]


def test_every_event_is_proved_and_every_size_is_consistent(ledger: Ledger) -> None:
    """While the log grows, also by another writer; checked by the pure verifiers, from hexadecimal digits."""
    tree = LogTree(ledger)
    assert (tree.root().tree_size, tree.root().root_hash, tree.root().head_hash) == (0, EMPTY_ROOT.hex(), GENESIS)
    for size in range(1, 10):
        grow(ledger, 1)
        events, now = ledger.events(), tree.root()
        assert (now.tree_size, now.head_hash, now.at) == (size, events[-1].hash, events[-1].at)
        for event in events:
            found = tree.inclusion(event.seq)
            assert (found.event_hash, found.leaf_hash) == (event.hash, leaf_hash(bytes.fromhex(event.hash)).hex())
            root, leaf = bytes.fromhex(found.root_hash), bytes.fromhex(found.leaf_hash)
            assert verify_inclusion(leaf, event.seq - 1, size, unhex(found.proof), root)
            assert found.root_hash == now.root_hash
        for first in range(size + 1):
            both = tree.consistency(first)
            old, new = bytes.fromhex(both.first_root), bytes.fromhex(both.second_root)
            assert verify_consistency(first, size, old, new, unhex(both.proof))
            assert (both.first_root, both.second_root) == (tree.root(first).root_hash, now.root_hash)


def test_what_the_log_has_not_is_unknown(ledger: Ledger) -> None:
    """Sizes and events beyond the end."""
    grow(ledger, 3)
    tree = LogTree(ledger)
    for ask in (
        lambda: tree.root(4),
        lambda: tree.inclusion(4),
        lambda: tree.inclusion(3, 2),
        lambda: tree.inclusion(1, 9),
        lambda: tree.consistency(4),
        lambda: tree.consistency(3, 2),
    ):
        with pytest.raises(UnknownRevision, match=r"no (tree|event)"):
            ask()


def test_a_noted_root_finds_a_missing_end(ledger: Ledger, tmp_path: Path) -> None:
    """The chain of a shortened log is whole; only who noted its size and root down can tell."""
    tree = LogTree(ledger)
    grow(ledger, 4)
    noted = NotedRoot(4, tree.root().root_hash)
    grow(ledger, 2)
    longer = verified(ledger.verify(), (), noted)
    assert (longer.ok, longer.extends, longer.merkle_root) == (True, True, tree.root().root_hash)
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("DROP TRIGGER events_no_delete")
        connection.execute("DELETE FROM events WHERE seq > 3")
    connection.close()
    shorter = verified(ledger.verify(), (), noted)
    assert verified(ledger.verify(), (), None).ok
    assert (shorter.ok, shorter.extends, shorter.events) == (False, False, 3)
    assert "end is missing" in (shorter.why or "")
    assert tree.root().tree_size == 3  # what was read before does not stand in for what is there
    grow(ledger, 3)
    rewritten = verified(ledger.verify(), (), noted)
    assert (rewritten.ok, rewritten.extends, rewritten.first_bad_seq) == (False, False, None)
    assert "not those" in (rewritten.why or "")

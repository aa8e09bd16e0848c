"""What the log proves about itself: the root of its Merkle tree, and the proofs of RFC 6962, as the service shows them.

Hashes are hexadecimal digits.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

from editing.errors import CorruptLedger, UnknownRevision
from editing.ledger.ledger import Ledger, LedgerVerification
from editing.ledger.merkle import MerkleTree, departs
from service.types.edits import Damage
from service.types.log import ConsistencyProof, InclusionProof, LogRoot, LogVerification, NotedRoot


class LogTree:
    """The Merkle tree of a ledger, caught up with it at every question. Safe for threads.

    Raises:
        UnknownRevision: by every method, for a size or an event beyond the log's end.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._tree, self._last = MerkleTree(), ""
        self._lock = Lock()

    def root(self, tree_size: int | None = None) -> LogRoot:
        tree, size = self._of(tree_size)
        last = self.ledger.events(after=size - 1, limit=1) if size else []
        head_hash, at = (last[0].hash, last[0].at) if last else ("0" * 64, None)
        return LogRoot(size, tree.root(size).hex(), head_hash, at)

    def inclusion(self, seq: int, tree_size: int | None = None) -> InclusionProof:
        tree, size = self._of(tree_size)
        if not 1 <= seq <= size:
            raise UnknownRevision(f"no event {seq} among the first {size}")
        proof = tuple(step.hex() for step in tree.inclusion(seq - 1, size))
        (event_hash,) = self.ledger.hashes(after=seq - 1, limit=1)
        return InclusionProof(seq, size, seq - 1, event_hash, tree.leaf(seq - 1).hex(), tree.root(size).hex(), proof)

    def consistency(self, first: int, second: int | None = None) -> ConsistencyProof:
        tree, size = self._of(second)
        if not 0 <= first <= size:
            raise UnknownRevision(f"no tree of {first} events in one of {size}")
        proof = tuple(step.hex() for step in tree.consistency(first, size))
        return ConsistencyProof(first, size, tree.root(first).hex(), tree.root(size).hex(), proof)

    def _of(self, size: int | None) -> tuple[MerkleTree, int]:
        with self._lock:
            tree = self._caught_up()
        now = tree.size
        if size is not None and not 0 <= size <= now:
            raise UnknownRevision(f"no tree of {size} events: the log has {now}")
        return tree, now if size is None else size

    def _caught_up(self) -> MerkleTree:
        """Appends the new events' hashes; begins anew where the ledger no longer ends as it did."""
        known = self._tree.size
        hashes = self.ledger.hashes(after=max(known - 1, 0))
        if known and hashes[:1] != [self._last]:
            self._tree, known, hashes = MerkleTree(), 0, self.ledger.hashes()
        for seq, value in enumerate(hashes[1:] if known else hashes, known + 1):
            try:
                self._tree.append(bytes.fromhex(value))
            except ValueError as error:
                raise CorruptLedger(seq, "its hash is no hash") from error
            self._last = value
        return self._tree


def verified(checked: LedgerVerification, damaged: tuple[Damage, ...], noted: NotedRoot | None) -> LogVerification:
    """What a verification found, compared with a root that was noted down."""
    root = checked.tree.root().hex() if checked.tree else None
    found = LogVerification(
        checked.ok, checked.events, checked.head_hash, checked.first_bad_seq, checked.why, damaged, root
    )
    if noted is None or checked.tree is None:
        return found
    why = departs(checked.tree, noted.tree_size, noted.root_hash)
    return replace(found, ok=found.ok and why is None, why=found.why or why, extends=why is None)

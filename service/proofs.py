"""What the log proves about itself: the root of its Merkle tree, and the proofs of RFC 6962, as the service shows them.

Hashes are hexadecimal digits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock

from editing.errors import CorruptLedger, UnknownRevision
from editing.ledger import Ledger, Verification
from editing.merkle import Tree, departs
from service.damage import Damage


@dataclass(frozen=True)
class NotedRoot:
    """A root that somebody noted down earlier."""

    tree_size: int
    root_hash: str


@dataclass(frozen=True)
class LogRoot:
    """The tree over the first ``tree_size`` events; ``head_hash`` and ``at`` are of the last of them."""

    tree_size: int
    root_hash: str
    head_hash: str
    at: str | None


@dataclass(frozen=True)
class InclusionProof:
    """That event ``seq`` of this hash is leaf ``leaf_index`` of the tree (2.1.1). ``proof`` goes from leaf to root."""

    seq: int
    tree_size: int
    leaf_index: int
    event_hash: str
    leaf_hash: str
    root_hash: str
    proof: tuple[str, ...]


@dataclass(frozen=True)
class ConsistencyProof:
    """That the tree of ``second`` events begins with that of ``first`` (2.1.2)."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: tuple[str, ...]


@dataclass(frozen=True)
class LogVerification:
    """Whether the log is whole.

    Attributes:
        first_bad_seq, why: set when ``ok`` is false; the first is None where only the noted root does not fit.
        damaged: all edits without whole factors.
        merkle_root: of the tree over the events that follow each other.
        extends: whether the log begins with the one noted down, if one was given.
    """

    ok: bool
    events: int
    head_hash: str
    first_bad_seq: int | None = None
    why: str | None = None
    damaged: tuple[Damage, ...] = ()
    merkle_root: str | None = None
    extends: bool | None = None


@dataclass(frozen=True)
class RedactResult:
    """The redaction as it was recorded."""

    revision: int
    edit_id: str
    at: str
    actor: str
    reason: str | None


class LogTree:
    """The Merkle tree of a ledger, caught up with it at every question. Safe for threads.

    Raises:
        UnknownRevision: by every method, for a size or an event beyond the log's end.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._tree, self._last = Tree(), ""
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

    def _of(self, size: int | None) -> tuple[Tree, int]:
        with self._lock:
            tree = self._caught_up()
        now = tree.size
        if size is not None and not 0 <= size <= now:
            raise UnknownRevision(f"no tree of {size} events: the log has {now}")
        return tree, now if size is None else size

    def _caught_up(self) -> Tree:
        """Appends the new events' hashes; begins anew where the ledger no longer ends as it did."""
        known = self._tree.size
        hashes = self.ledger.hashes(after=max(known - 1, 0))
        if known and hashes[:1] != [self._last]:
            self._tree, known, hashes = Tree(), 0, self.ledger.hashes()
        for seq, value in enumerate(hashes[1:] if known else hashes, known + 1):
            try:
                self._tree.append(bytes.fromhex(value))
            except ValueError as error:
                raise CorruptLedger(seq, "its hash is no hash") from error
            self._last = value
        return self._tree


def verified(checked: Verification, damaged: tuple[Damage, ...], noted: NotedRoot | None) -> LogVerification:
    """What a verification found, compared with a root that was noted down."""
    root = checked.tree.root().hex() if checked.tree else None
    found = LogVerification(
        checked.ok, checked.events, checked.head_hash, checked.first_bad_seq, checked.why, damaged, root
    )
    if noted is None or checked.tree is None:
        return found
    why = departs(checked.tree, noted.tree_size, noted.root_hash)
    return replace(found, ok=found.ok and why is None, why=found.why or why, extends=why is None)

"""Reading a log from its beginning: does each event follow the one before, and is nothing erased that none redacted?"""

from __future__ import annotations

from editing.errors import CorruptLedger
from editing.ledger.events import GENESIS, Event
from editing.ledger.merkle import MerkleTree


class LogAudit:
    """Takes the events one by one.

    Attributes:
        tree: the Merkle tree over the events taken; a leaf's data is the event's hash, 32 bytes.
        head_hash: hash of the last event taken.
    """

    def __init__(self) -> None:
        self.tree = MerkleTree()
        self.head_hash = GENESIS
        self._erased: dict[str | None, tuple[int, str]] = {}  # edit → its first event without texts, the hash before

    @property
    def events(self) -> int:
        """How many were taken."""
        return self.tree.size

    def take(self, event: Event) -> None:
        """The next event.

        Raises:
            CorruptLedger: it does not follow, or was changed; it was not taken.
        """
        seq = self.events + 1
        if event.seq != seq:
            raise CorruptLedger(seq, f"missing, the next event is {event.seq}")
        if event.prev_hash != self.head_hash:
            raise CorruptLedger(seq, "does not follow the event before it")
        try:
            if event.digest() != event.hash:
                raise CorruptLedger(seq, "was changed: its content does not match its hash")
            if not event.keeps_its_texts():
                raise CorruptLedger(seq, "was changed: its texts are not the ones committed to")
        except (TypeError, ValueError, RecursionError) as error:
            raise CorruptLedger(seq, f"not an event: {error}") from error
        if event.redacted:
            self._erased.setdefault(event.edit_id, (seq, event.prev_hash))
        if event.kind == "redact":
            self._erased.pop(event.edit_id, None)
        self.tree.append(bytes.fromhex(event.hash))
        self.head_hash = event.hash

    def unexplained(self) -> tuple[CorruptLedger, str] | None:
        """After the last event: the first one whose texts are gone without a redaction, and the hash before it."""
        if not self._erased:
            return None
        edit_id, (seq, before) = min(self._erased.items(), key=lambda item: item[1])
        return CorruptLedger(seq, f"its texts are gone, and the log has no redaction of {edit_id}"), before

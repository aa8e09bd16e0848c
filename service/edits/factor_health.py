"""Which edits' factor files are as they were written, and which are missing or were changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from editing.edit import Deltas
from editing.errors import CorruptFactors, StorageError
from editing.ledger.events import Event
from editing.store import EditStore, Signature
from service.errors import DamagedEdit
from service.types.edits import Damage


class FactorHealth:
    """What is known of every factor file. A file that is damaged is looked at again as soon as it changes on disk, so
    one that comes back from a backup works again without a restart. Safe for threads.

    Args:
        store: the factor files.
    """

    def __init__(self, store: EditStore) -> None:
        self.store = store
        self._expected: dict[str, tuple[int, str]] = {}  # edit id → seq of its event, digest of its file
        self._damaged: dict[str, tuple[Damage, Signature]] = {}
        self._lock = threading.Lock()

    def expect(self, event: Event) -> None:
        """An edit was applied; from now on its file must be there."""
        self._expected[event.edit_id or ""] = (event.seq, event.factors or "")

    def expected(self) -> tuple[str, ...]:
        """Every edit that was ever applied, in the order of the ledger."""
        return tuple(self._expected)

    def factors(self, edit_id: str) -> Deltas:
        """The factors of an edit, from disk.

        Raises:
            DamagedEdit: missing, changed or unreadable; says what to do.
        """
        loaded: list[Deltas] = []
        damage = self._look(edit_id, lambda digest: loaded.append(self.store.load(digest)))
        if damage:
            digest = self._expected[edit_id][1]
            raise DamagedEdit(edit_id, damage.why, f"edits/{digest[:2]}/{digest}")
        return loaded[0]

    def glance(self) -> tuple[Damage, ...]:
        """Notes which files are missing, or shorter or longer than they say; reads no factors, so it is quick."""
        for edit_id, (_, digest) in tuple(self._expected.items()):
            try:
                self.store.glance(digest)
            except (CorruptFactors, StorageError):
                self._look(edit_id, self.store.glance, whole=False)
        return self.damaged()

    def check(self, edit_id: str, leave_cached: bool = True) -> Damage | None:
        """Reads the whole file of an edit, as ``EditStore.check``; what is wrong with it, if anything."""
        return self._look(edit_id, lambda digest: self.store.check(digest, leave_cached))

    def size(self, edit_id: str) -> int:
        """Bytes on disk; 0 when the file cannot be seen."""
        try:
            return self.store.size(self._expected[edit_id][1])
        except (CorruptFactors, StorageError):
            return 0

    def check_all(self) -> tuple[Damage, ...]:
        """Reads every file; the edits that are damaged, in the order of the ledger."""
        return tuple(damage for edit_id in self.expected() if (damage := self.check(edit_id)))

    def damaged(self) -> tuple[Damage, ...]:
        """The edits known to be damaged, in the order of the ledger."""
        with self._lock:
            known = list(self._damaged.items())
        for edit_id, (_, seen) in known:
            if self._signature(edit_id) != seen:
                self.check(edit_id)
        with self._lock:
            return tuple(sorted((damage for damage, _ in self._damaged.values()), key=lambda damage: damage.seq))

    def _look(self, edit_id: str, look: Callable[[str], Any], whole: bool = True) -> Damage | None:
        """``whole``: the look shows everything, so it clears what an earlier one has found."""
        seq, digest = self._expected[edit_id]
        seen = self._signature(edit_id)  # before the look: what is changed meanwhile is looked at again
        try:
            look(digest)
        except (CorruptFactors, StorageError) as error:
            if isinstance(error, StorageError):
                seen = ()  # no state of a file that one could wait for
            damage = Damage(edit_id, seq, str(error))
            with self._lock:
                self._damaged[edit_id] = (damage, seen)
            return damage
        if whole:
            with self._lock:
                self._damaged.pop(edit_id, None)
        return None

    def _signature(self, edit_id: str) -> Signature:
        try:
            return self.store.signature(self._expected[edit_id][1])
        except CorruptFactors:
            return None

"""Everything that can go wrong while editing, as a small tree. ``service/errors.py`` maps it to HTTP in one place."""


class EditingError(Exception):
    """Root of the tree. The message says what is wrong and, where one can, what to do."""


class InvalidEdit(EditingError):
    """The request cannot become an edit of this model: empty after normalisation, longer than the context, …"""


class UnknownEdit(EditingError):
    """No edit of this id was ever recorded."""


class EditNotActive(EditingError):
    """The edit exists, but there is nothing to take back: it was rolled back before."""


class NotRedactable(EditingError):
    """The texts of this edit cannot be erased (yet): it is not rolled back, or its hash covers the texts themselves."""


class EditRedacted(EditingError):
    """The texts of this edit were erased: there is nothing left to erase."""


class UnknownRevision(EditingError):
    """The ledger has no such revision."""


class LedgerConflict(EditingError):
    """Another writer appended first: the head is not the expected one."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"the ledger's head is revision {actual}, not {expected}")
        self.expected = expected
        self.actual = actual


class DuplicateEvent(EditingError):
    """The ledger already has an event with this idempotency key, or already applied an edit of this id."""


class StorageError(EditingError):
    """The disk does not take or give the bytes: full, read-only, unreadable. Nothing was recorded."""


class CorruptFactors(EditingError):
    """A factor file is missing, or its content does not match the digest in its name."""

    def __init__(self, digest: str, why: str) -> None:
        super().__init__(f"factor file {digest}: {why}")
        self.digest = digest
        self.why = why


class CorruptLedger(EditingError):
    """A row of the ledger does not match the hash chain."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"ledger event {seq}: {why}")
        self.seq = seq
        self.why = why


class CorruptLogFile(EditingError):
    """An exported log does not verify."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line} {why}")
        self.line = line
        self.why = why


class EditorMismatch(EditingError):
    """The editor checkpoint was trained for another base model, or is damaged."""


class DataError(EditingError):
    """A training or evaluation file cannot be read; the message names file and line."""


class EditorTrainingError(EditingError):
    """Training cannot go on, or cannot be resumed from what is on disk."""

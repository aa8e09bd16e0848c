"""Everything that can go wrong with corpora and indexes, as a small tree. The service maps it to HTTP in one place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class IndexingError(Exception):
    """Root of the tree. The message says what is wrong and, where one can, what to do."""


class CorpusError(IndexingError):
    """A corpus is missing, cannot be read, or holds nothing to index.

    Attributes:
        path: the file.
        place: where in it, e.g. ``line 12 column 3`` or ``entry "Canberra"``; empty if it is the file as a whole.
        why: what is wrong there.
    """

    def __init__(self, path: Path | str, why: str, place: str = "") -> None:
        super().__init__(f"{path}, {place}: {why}" if place else f"{path}: {why}")
        self.path = Path(path)
        self.place = place
        self.why = why


class IndexMismatch(IndexingError):
    """The parts do not belong together: a file is not what the manifest says, or the encoder is another one.

    Attributes:
        path: the file that does not match.
        why: in which respect.
    """

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = Path(path)
        self.why = why


class UnknownIndex(IndexingError):
    """There is no index version of this name."""

    def __init__(self, version: str) -> None:
        super().__init__(f"there is no index version {version!r}")
        self.version = version


class UnknownPassages(IndexingError):
    """Passages or articles to delete are not in the index.

    Attributes:
        version: of the index.
        names: what is not there: ids, or articles as they were named.
    """

    def __init__(self, version: str, names: Sequence[str]) -> None:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        super().__init__(f"the index version {version} holds no passage of: {shown}")
        self.version = version
        self.names = tuple(names)


class AmendmentError(IndexingError):
    """What is to be added or deleted contradicts itself or leaves nothing. Nothing was changed."""


class ActiveIndex(IndexingError):
    """The version is the active one and cannot be removed; activate another one first."""

    def __init__(self, version: str) -> None:
        super().__init__(f"the index version {version} is active; activate another one before it is removed")
        self.version = version


class IndexStorageError(IndexingError):
    """The disk does not take or give the bytes: full, read-only, unreadable. What was there before is unchanged."""

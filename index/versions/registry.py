"""All versions of an index side by side in one directory, and which of them is active."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from index.atomic_files import replace_file, storing
from index.errors import ActiveIndex, IndexingError, UnknownIndex
from index.vectors.vector_index import EncoderIdentity
from index.versions.manifest import MANIFEST_FILE, VERSION_NAME, Manifest, read_manifest
from index.versions.passage_index import PassageIndex, open_index
from index.versions.workspace import REMOVING, task_lock, workspace

_log = logging.getLogger(__name__)
_POINTER = "active"


@dataclass(frozen=True)
class ListedVersion:
    """A version as listed.

    Attributes:
        manifest: what it is made of.
        active: whether the pointer names it.
        size: bytes on the disk; what versions share (hard links) counts for each.
    """

    manifest: Manifest
    active: bool
    size: int = 0


class IndexVersions:
    """The versions under ``root``, each in a directory of its name, and the pointer file ``active``.

    Holds no state of its own: several processes may use one root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self) -> tuple[ListedVersion, ...]:
        """Every version, oldest first. One whose manifest cannot be read is left out, with a warning in the log."""
        with storing(self.root):
            found = sorted(self.root.glob(f"*/{MANIFEST_FILE}")) if self.root.exists() else []
        active = self.active()
        manifests = (self._readable(path.parent.name) for path in found if VERSION_NAME.fullmatch(path.parent.name))
        listed = [ListedVersion(one, one.version == active, self._size(one)) for one in manifests if one]
        return tuple(sorted(listed, key=lambda one: (one.manifest.built_at, one.manifest.version)))

    def active(self) -> str | None:
        """The name of the active version; None if there is none yet. Raises IndexStorageError."""
        with storing(self.root):
            try:
                return (self.root / _POINTER).read_text(encoding="utf-8", errors="replace").strip() or None
            except FileNotFoundError:
                return None

    def activate(self, version: str) -> None:
        """Point to ``version``, atomically and durably. Its files are not verified here: :meth:`open` it first.

        Raises:
            UnknownIndex: there is no such version; the pointer stays.
            IndexMismatch: its manifest is damaged; the pointer stays.
            IndexStorageError: the disk does not take it; the pointer stays.
        """
        self.directory(version)
        with storing(self.root), task_lock(self.root, REMOVING):  # so that nobody removes it meanwhile
            self.manifest(version)
            replace_file(self.root / _POINTER, f"{version}\n".encode())

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version. Raises UnknownIndex, IndexMismatch or IndexStorageError."""
        directory = self.directory(version)
        with storing(directory):
            return read_manifest(directory)

    def open(self, version: str, encoder: EncoderIdentity, threads: int | None = None) -> PassageIndex:
        """Open a version for queries of ``encoder``; FAISS searches with ``threads`` (None: as OMP_NUM_THREADS says).

        Raises:
            UnknownIndex: there is no such version.
            IndexMismatch: a file is not what the manifest says, or the encoder is another one.
            IndexStorageError: a file cannot be read.
        """
        return open_index(self.directory(version), encoder, threads)

    def remove(self, version: str) -> None:
        """Remove a version's directory. What has it open goes on reading it; files that others share stay theirs.

        Raises:
            UnknownIndex: there is no such version.
            ActiveIndex: it is the active one; it stays.
            IndexStorageError: the disk does not give it up.
        """
        self.directory(version)
        with storing(self.root), task_lock(self.root, REMOVING), workspace(self.root, REMOVING) as aside:
            directory = self.directory(version)
            if self.active() == version:
                raise ActiveIndex(version)
            directory.rename(aside / version)

    def directory(self, version: str) -> Path:
        """Of a version. Raises UnknownIndex."""
        directory = self.root / version
        if not VERSION_NAME.fullmatch(version) or not (directory / MANIFEST_FILE).is_file():
            raise UnknownIndex(version)
        return directory

    def _size(self, manifest: Manifest) -> int:
        paths = (self.root / manifest.version / name for name in manifest.files)
        return sum(path.stat().st_size for path in paths if path.is_file())

    def _readable(self, version: str) -> Manifest | None:
        try:
            return self.manifest(version)
        except IndexingError as error:
            _log.warning("an index version is left out: %s", error)
            return None

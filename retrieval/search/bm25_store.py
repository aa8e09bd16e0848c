"""Where the BM25 of each index version is kept: ``<root>/.lexical/<version>/``, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from errata.files import file_digest
from index.atomic_files import storing, whole_folder
from index.errors import IndexStorageError
from index.versions.manifest import MANIFEST_FILE
from index.versions.passage_index import PassageIndex
from retrieval.search.bm25 import IN_MEMORY, K1, B, Bm25Index, bm25s, build_lexical

logger = logging.getLogger(__name__)

SHELF = ".lexical"
_CARD = "lexical.json"
_FORMAT = 1  # counts up when terms or files change, so that what an earlier release made is made again


class Bm25Store:
    """BM25 of the versions under ``root``. Holds no state of its own: several processes may use one root.

    Args:
        root: the directory of all versions.
        say: called with what is built, and why something cannot be kept.
    """

    def __init__(self, root: Path, say: Callable[[str], None] = logger.info) -> None:
        self.root, self.directory, self.say = root, root / SHELF, say

    def open(self, index: PassageIndex) -> Bm25Index | None:
        """BM25 of exactly the passages of ``index``; built if it is not there, damaged, or of other passages.

        Where the disk does not take it, it is held in memory; None if there are too many passages for that.
        """
        kept = self._kept(index)
        if kept is not None:
            return kept
        try:
            with self._sole_builder():
                return self._kept(index) or self._built(index)
        except IndexStorageError as error:
            return self._unkept(index, error)

    def _kept(self, index: PassageIndex) -> Bm25Index | None:
        """What is on the shelf, if it is whole and of these passages."""
        folder = self.directory / index.manifest.version
        try:
            card = json.loads((folder / _CARD).read_bytes())
            if card["key"] != lexical_key(index):
                self.say(f"{folder}: made of other passages or by another release; BM25 is made again")
                return None
            damaged = next((name for name, digest in card["files"].items() if file_digest(folder / name) != digest), "")
            if damaged:
                self.say(f"{folder / damaged}: damaged; BM25 is made again")
                return None
            return _read(folder, index, bool(card["files"]))
        except FileNotFoundError as error:
            if folder.exists():
                self.say(f"{error.filename}: missing; BM25 is made again")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.say(f"{folder}: cannot be read ({error}); BM25 is made again")
        return None

    def _built(self, index: PassageIndex) -> Bm25Index:
        """Build, write and open. Raises IndexStorageError."""
        folder = self.directory / index.manifest.version
        self.say(f"making BM25 of the {len(index.passages)} passages of {index.manifest.version}, once")
        with whole_folder(folder) as place:
            lexical = build_lexical(index)
            _write(place, lexical, lexical_key(index))
        return _read(folder, index, lexical.bm25 is not None)

    def _unkept(self, index: PassageIndex, why: Exception) -> Bm25Index | None:
        count = len(index.passages)
        if count > IN_MEMORY:
            self.say(f"{why}: BM25 of {count} passages cannot be kept; search is dense only")
            return None
        self.say(f"{why}: BM25 is held in memory and made again at each start")
        return build_lexical(index)

    @contextmanager
    def _sole_builder(self) -> Iterator[None]:
        """Hold the shelf's lock, then sweep up what dead builders and deleted versions left."""
        with storing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for folder in self.directory.iterdir():
                    if folder.is_dir() and not (self.root / folder.name / MANIFEST_FILE).is_file():
                        shutil.rmtree(folder, ignore_errors=True)
                yield


def lexical_key(index: PassageIndex) -> str:
    """sha256 of what BM25 is made from: the manifest, with the digests of its files, and how it is made."""
    recipe = f"{_FORMAT} {K1} {B} {bm25s().__version__}\n".encode()
    return hashlib.sha256(recipe + index.manifest.to_json()).hexdigest()


def _write(folder: Path, lexical: Bm25Index, key: str) -> None:
    if lexical.bm25 is not None:
        lexical.bm25.save(folder, show_progress=False)
    files = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
    (folder / _CARD).write_text(json.dumps({"key": key, "files": files}, indent=2) + "\n")


def _read(folder: Path, index: PassageIndex, some: bool) -> Bm25Index:
    """What :func:`_write` wrote; its arrays stay on the disk until they are looked at."""
    bm25: Any = bm25s().BM25.load(folder, mmap=True, show_progress=False) if some else None
    return Bm25Index(index.manifest.version, bm25, len(index.passages))

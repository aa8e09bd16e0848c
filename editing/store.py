"""Edits on disk: each one a LoRA adapter as PEFT and vLLM load it, in a directory named by the digest of its content.

``<root>/<first two>/<digest>/`` holds ``adapter_config.json`` and ``adapter_model.safetensors``; the digest is that of
``cat adapter_config.json adapter_model.safetensors | sha256sum``. A directory is written under ``<root>/.tmp``, synced
and then renamed, so that a name stands for the whole content or does not exist. Nothing that has a name is deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from editing.edit import Deltas, LowRankDelta
from editing.errors import CorruptFactors, StorageError
from errata.files import replace_file, sync
from errata.lora import CONFIG, WEIGHTS, decode_factors, encode_adapter

Signature = tuple[tuple[int, ...], ...] | None
ABANDONED = 3600.0  # seconds after which a temporary directory belongs to no living writer
MAX_HEADER = 1 << 20  # bytes of a safetensors header; that of an edit has some hundreds


class EditStore:
    """Factors by digest. Any number of threads and processes may save and load at once.

    Raises:
        StorageError: by every method, when the disk does not take or give the bytes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, deltas: Deltas, base_model: str = "") -> str:
        """Writes the factors of one edit, dtypes kept, and gives their digest; what is there already is left alone.

        Raises:
            ValueError: no deltas.
            StorageError: full or read-only disk; no half-written edit is left under a digest.
        """
        files = adapter_files(deltas, base_model)
        digest = _digest(files)
        with _disk("cannot be written"):
            if not self._path(digest).exists() or self._damaged(digest):
                self._put(digest, files)
            for directory in (self._path(digest).parent, self.root, self.root.parent):
                sync(directory)
        return digest

    def load(self, digest: str) -> dict[str, LowRankDelta]:
        """The deltas by module name, on the CPU, as they were saved.

        Raises:
            CorruptFactors: missing, or changed since.
        """
        try:
            factors = decode_factors(self._read(digest)[WEIGHTS])
            return {name: LowRankDelta(A, B) for name, (A, B) in factors.items()}
        except ValueError as error:
            raise CorruptFactors(digest, f"is no edit: {error}") from error

    def check(self, digest: str, leave_cached: bool = True) -> None:
        """Reads the whole content. Raises CorruptFactors if it is missing or does not match the digest.

        Args:
            leave_cached: false for a reader of everything, who would fill the page cache with what nobody wants.
        """
        try:
            self._read(digest)
        finally:
            if not leave_cached:
                _drop_cached(self._path(digest) / WEIGHTS)

    def glance(self, digest: str) -> None:
        """Looks for both files and at their lengths. Raises CorruptFactors if one is missing, cut short or too long."""
        with _disk("cannot be read"), _present(digest):
            path = self._path(digest)
            with (path / WEIGHTS).open("rb") as file:
                whole = _is_whole(file)
            if not whole or not (path / CONFIG).stat().st_size:
                raise CorruptFactors(digest, "content does not match its digest: not as long as it was")

    def signature(self, digest: str) -> Signature:
        """Differs whenever one of an edit's files was written, replaced or put back; None while one is missing.

        Raises:
            CorruptFactors: the name is no digest.
        """
        paths = [self._path(digest) / name for name in (CONFIG, WEIGHTS)]
        try:
            stats = [path.stat() for path in paths]
        except OSError:
            return None
        return tuple((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in stats)

    def size(self, digest: str) -> int:
        """Bytes on disk. Raises CorruptFactors if it is missing."""
        with _disk("cannot be read"), _present(digest):
            return sum((self._path(digest) / name).stat().st_size for name in (CONFIG, WEIGHTS))

    def _path(self, digest: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise CorruptFactors(digest, "is not a digest")
        return self.root / digest[:2] / digest

    def _read(self, digest: str) -> dict[str, bytes]:
        with _disk("cannot be read"), _present(digest):
            files = {name: (self._path(digest) / name).read_bytes() for name in (CONFIG, WEIGHTS)}
        if _digest(files) != digest:
            raise CorruptFactors(digest, "content does not match its digest")
        return files

    def _damaged(self, digest: str) -> bool:
        if not self._path(digest).exists():
            return False
        try:
            self.check(digest)
        except CorruptFactors:
            return True
        return False

    def _put(self, digest: str, files: dict[str, bytes]) -> None:
        final, temporary = self._path(digest), self._temporary()
        damaged = temporary.with_suffix(".damaged")
        try:
            for name, content in files.items():
                replace_file(temporary / name, content)
            final.parent.mkdir(exist_ok=True)
            if self._damaged(digest):
                final.rename(damaged)
            temporary.rename(final)
        except OSError as error:
            if error.errno not in (ENOTEMPTY, EEXIST):
                raise
            self.check(digest)  # a writer of the same content was quicker
        finally:
            for path in (temporary, damaged):
                shutil.rmtree(path, ignore_errors=True)

    def _temporary(self) -> Path:
        """A new directory to write in; on the way, those of writers that died are removed."""
        home = self.root / ".tmp"
        home.mkdir(parents=True, exist_ok=True)
        for path in home.iterdir():
            if _age(path) > ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
        temporary = home / uuid4().hex
        temporary.mkdir()
        return temporary


def adapter_files(deltas: Deltas, base_model: str = "") -> dict[str, bytes]:
    """The files of an edit by name, a LoRA adapter as PEFT loads it. Raises ValueError: no deltas."""
    return encode_adapter({name: (delta.A, delta.B) for name, delta in deltas.items()}, base_model)


def _digest(files: dict[str, bytes]) -> str:
    return hashlib.sha256(files[CONFIG] + files[WEIGHTS]).hexdigest()


def _is_whole(file: BinaryIO) -> bool:
    """Whether a safetensors file, open at its begin, is as long as its own header says.

    That is 8 bytes for the header's length, the header, and the tensors up to the end of the last one.
    """
    head = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(min(head, MAX_HEADER)))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return 8 + head + int(max(ends, default=0)) == os.fstat(file.fileno()).st_size
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return False


def _drop_cached(path: Path) -> None:
    """Take a file that was read out of the page cache, where the system knows how."""
    if advise := getattr(os, "posix_fadvise", None):
        with suppress(OSError), path.open("rb") as file:
            advise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its writer is done
        return 0.0


@contextmanager
def _present(digest: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorruptFactors(digest, "missing") from error


@contextmanager
def _disk(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the edit {what}: {error.strerror or error}") from error

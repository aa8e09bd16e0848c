"""Bytes on disk that survive a crash: digests, atomic files, and directories that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import IndexStorageError


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the operating system says about ``path`` into IndexStorageError."""
    try:
        yield
    except OSError as error:
        raise IndexStorageError(f"{error.filename or path}: {error.strerror or error}") from error


def file_digest(path: Path) -> str:
    """sha256 of a file, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes) -> None:
    """Write ``path`` so that at any moment it holds the old content or the new (temporary name, fsync, rename).

    Raises:
        IndexStorageError: the disk does not take it; the old content is still there.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)

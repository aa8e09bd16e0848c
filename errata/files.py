"""Files that survive a crash: whole under their name or not there at all. Everything here raises OSError."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that no other writer uses, and that no reader takes for content."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def replace_file(path: Path, data: bytes) -> None:
    """Write ``path`` so that at any moment it holds the old content or the new (temporary name, fsync, rename)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to write in. At the end of the block it is on the disk and named ``target``, whose old content goes.

    When the block fails, or the process dies in it, ``target`` is what it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(target)
    old = temporary.with_suffix(".old")
    temporary.mkdir()
    try:
        yield temporary
        for path in [*temporary.rglob("*"), temporary]:
            sync(path)
        if target.exists():
            target.rename(old)
        temporary.rename(target)
        sync(target.parent)
    finally:
        for path in (temporary, old):
            shutil.rmtree(path, ignore_errors=True)

"""Files that survive a crash: whole under their name or not there at all. Everything here raises OSError."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
    """Write ``path`` so that at any moment it holds the old content or the new."""
    with whole_file(path) as stream:
        stream.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file to write in. At the end of the block it is on the disk and named ``path``, whose old content goes.

    When the block fails, or the process dies in it, ``path`` is what it was (temporary name, fsync, rename).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        with temporary.open("xb") as stream:
            yield stream
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
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                sync(path)
        replace_folder(target, temporary, temporary.with_suffix(".old"))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(target: Path, new: Path, aside: Path) -> None:
    """Give the folder ``new`` the name ``target``, durably; when that fails, ``target`` is what it was.

    Args:
        target: its old content, if there is any, goes.
        new: on the same file system; its files are on the disk already.
        aside: a name that nobody uses, for the old content.
    """
    for folder in (*(path for path in new.rglob("*") if path.is_dir()), new):
        sync(folder)
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
    sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)

"""The files of ``errata.files`` with this package's error: what the disk refuses is an IndexStorageError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errata import files
from index.errors import IndexStorageError


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the operating system says about ``path`` into IndexStorageError."""
    try:
        yield
    except OSError as error:
        raise IndexStorageError(f"{error.filename or path}: {error.strerror or error}") from error


def replace_file(path: Path, data: bytes) -> None:
    """Write ``path`` so that at any moment it holds the old content or the new.

    Raises:
        IndexStorageError: the disk does not take it; the old content is still there.
    """
    with storing(path):
        files.replace_file(path, data)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to write in, named ``target`` at the end of the block; when the block fails nothing has changed.

    Raises:
        IndexStorageError: the disk does not take it.
    """
    with storing(target), files.whole_folder(target) as folder:
        yield folder

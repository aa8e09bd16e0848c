"""One builder at a time in a folder of unfinished work."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_lock(folder: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder, which need not exist; the system releases it if the process dies.

    The lock is a file beside the folder, removed when it is released.

    Raises:
        BlockingIOError: another builder holds it and ``wait`` is false.
        OSError: the lock file cannot be made.
    """
    path = folder.with_name(f"{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not _is_named(lock.fileno(), path):
                continue  # another builder held this file and removed it when it was done
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_named(handle: int, path: Path) -> bool:
    """Whether an open file is still the one called ``path``."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False

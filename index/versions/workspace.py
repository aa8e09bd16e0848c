"""Where versions are made: in a directory beside the others, which gets its name when it is whole and on the disk.

A *task* is what a builder does: ``building``, ``amending``, ``compacting`` or ``removing``. It is part of the names of
its lock and of its directories, so that those who do different things neither wait for each other nor sweep up what
another one still writes.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errata.files import replace_folder

BUILDING, AMENDING, COMPACTING, REMOVING = "building", "amending", "compacting", "removing"


@contextmanager
def task_lock(root: Path, task: str) -> Iterator[None]:
    """Wait for the root's lock of a task and hold it; the system takes it back when the process dies.

    What dead processes left of this task is swept up: no other one can be at it while the lock is held.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / (".lock" if task == BUILDING else f".{task}.lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in (*root.glob(f".{task}-*"), *root.glob(f".replaced-{task}-*")):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def workspace(root: Path, task: str) -> Iterator[Path]:
    """A new directory under ``root``; removed with all that is in it unless it was given another name."""
    place = Path(tempfile.mkdtemp(prefix=f".{task}-", dir=root))
    try:
        place.chmod(0o755)  # mkdtemp makes it private
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(place: Path, target: Path, task: str) -> None:
    """Give a finished version its name ``target``; what is there is damaged and goes."""
    replace_folder(target, place, target.with_name(f".replaced-{task}-{secrets.token_hex(4)}"))

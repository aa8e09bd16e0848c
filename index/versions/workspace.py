"""Workplaces: a version is made beside the others and moved to its place when it is whole and on the disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.atomic_files import sync

_REPLACED = ".replaced-"


@contextmanager
def sole_maker(root: Path, doing: str) -> Iterator[None]:
    """Hold the root's lock of those who are ``doing`` the same, which the system takes back if the process dies.

    What dead ones left is swept up. A long build does not keep anybody from amending.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / ("." + doing + ".lock" if doing != "building" else ".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in (*root.glob(f".{doing}-*"), *root.glob(f"{_REPLACED}{doing}-*")):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def workplace(root: Path, doing: str) -> Iterator[Path]:
    """A new directory under ``root``; removed with all that is in it unless it was moved to its place."""
    place = Path(tempfile.mkdtemp(prefix=f".{doing}-", dir=root))
    try:
        place.chmod(0o755)  # mkdtemp makes it private
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def move(place: Path, target: Path, doing: str) -> None:
    """Move a finished version to ``target``; what is there is damaged and goes aside first."""
    for directory in (*(path for path in place.rglob("*") if path.is_dir()), place):
        sync(directory)
    aside = None
    if target.exists():
        aside = Path(tempfile.mkdtemp(prefix=f"{_REPLACED}{doing}-", dir=target.parent))
        target.rename(aside / target.name)
    place.rename(target)
    sync(target.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def share(source: Path, target: Path) -> None:
    """Give ``target`` the content of ``source``: a second name of the same file, or a copy where links do not work.

    Files of versions are never written to again, so what is shared stays as it is.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        sync(target)

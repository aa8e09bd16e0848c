"""A folder that appears whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.atomic_files import storing, sync


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to write in. At the end of the block it is on the disk and named ``target``, whose old content goes.

    When the block fails, or the process dies in it, ``target`` is what it was.

    Raises:
        IndexStorageError: the disk does not take it.
    """
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
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

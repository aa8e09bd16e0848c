"""The folder of a training run: which run it is of, so that it is gone on with and never mixed with another."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from index.atomic_files import replace_file, storing
from retrieval.errors import RetrieverTrainingError

RUN = "run.json"


@contextmanager
def open_run(folder: Path, of: Mapping[str, Any], resume: bool) -> Iterator[None]:
    """Make ``folder`` that of a run which is described by ``of``, or go on with the run of that description in it.

    Until the end of the block it is this process's alone. One that fails before it wrote anything leaves no folder.

    Raises:
        RetrieverTrainingError: something else lies there; it is another run; it is this one and ``resume`` was not
            given; or another process is at it.
        IndexStorageError: the disk does not take it.
    """
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        wanted = json.loads(json.dumps(of))
        if any(folder.iterdir()):
            _check(folder, wanted, resume)
        else:
            replace_file(folder / RUN, (json.dumps(wanted, indent=2) + "\n").encode())
        try:
            yield
        finally:
            if [path.name for path in folder.iterdir()] == [RUN]:
                (folder / RUN).unlink()
                folder.rmdir()
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RetrieverTrainingError(
            f"another process trains in {folder}; wait for it, or choose another --out"
        ) from error


def _check(folder: Path, wanted: Mapping[str, Any], resume: bool) -> None:
    try:
        found = json.loads((folder / RUN).read_bytes())
    except (OSError, ValueError) as error:
        raise RetrieverTrainingError(
            f"{folder} holds something else than a run; choose another folder with --out"
        ) from error
    if different := [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]:
        name = different[0]
        why = f"{name} was {found.get(name)}, and is {wanted.get(name)} now"
        raise RetrieverTrainingError(
            f"{folder} holds another run ({why}); go on with what it was, or choose another --out"
        )
    if not resume:
        raise RetrieverTrainingError(f"{folder} holds this very run already; --resume goes on with it")

"""Writing a service's log to a file that verifies without it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from editing.ledger.audit import LogAudit
from editing.ledger.log_file import header, write_events
from service.client.http import Client

PAGE = 1000  # events; the most that GET /log gives
Progress = Callable[[int, int], None]  # events read, events in the log when the export began


class TargetRefused(Exception):
    """The file to write is there already, or cannot be one."""


def export_log(client: Client, target: Path | None, progress: Progress, force: bool = False) -> LogAudit:
    """Reads the log to its end and writes it; the file appears whole or not at all. Without a target: to stdout.

    The log is read until nothing more comes, so that a redaction that was made meanwhile is in the file with what it
    erased.

    Raises:
        TargetRefused, OSError: the file cannot be written.
        CorruptLedger: the log does not verify; nothing was written.
        ClientError: the server does not answer.
    """
    if target is not None:
        _expect_room(target, force)
    with tempfile.TemporaryFile() as body:
        audit = write_events(_events(client, progress), body)
        body.seek(0)
        if target is None:
            _put(sys.stdout.buffer, audit, body)
        else:
            _write(target.resolve(), audit, body)
    return audit


def _events(client: Client, progress: Progress) -> Iterator[dict[str, Any]]:
    total = int(client.get("/log/root")["tree_size"])
    after: int | None = 0
    while after is not None:
        part = client.get("/log", {"after": after, "limit": PAGE})
        yield from part["events"]
        after = part["next_after"]
        if part["events"]:
            progress(part["events"][-1]["seq"], total)


def _expect_room(target: Path, force: bool) -> None:
    if target.exists() and not target.is_file():
        raise TargetRefused(f"{target} is no file")
    if target.exists() and target.stat().st_size and not force:
        raise TargetRefused(f"{target} is there already; name a new file, or write over it with --force")
    if not target.resolve().parent.is_dir():
        raise TargetRefused(f"there is no directory {target.parent}")


def _write(target: Path, audit: LogAudit, body: BinaryIO) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _put(file, audit, body)
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def _put(file: BinaryIO, audit: LogAudit, body: BinaryIO) -> None:
    file.write(header(audit))
    shutil.copyfileobj(body, file)
    file.flush()

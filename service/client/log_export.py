"""Writing a service's log to a file that verifies without it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from editing.ledger.audit import LogAudit
from editing.ledger.log_file import header, write_events
from errata.files import whole_file
from service.client.http import Client

PAGE = 1000  # events; the most that GET /log gives
OnPage = Callable[[int, int], None]  # events read, events in the log when the export began


class TargetRefused(Exception):
    """The file to write is there already, or cannot be one."""


def export_log(client: Client, target: Path | None, on_page: OnPage, force: bool = False) -> LogAudit:
    """Read the log to its end and write it to a file, which appears whole or not at all.

    The log is read until nothing more comes, so that a redaction that was made meanwhile is in the file with what it
    erased.

    Args:
        target: the file; None: stdout.
        on_page: is called after each page that was read.
        force: whether to write over a file that is there.

    Returns:
        The audit of what was written: chain, Merkle tree and number of events.

    Raises:
        TargetRefused, OSError: the file cannot be written.
        CorruptLedger: the log does not verify; nothing was written.
        ClientError: the server does not answer.
    """
    if target is not None:
        _expect_room(target, force)
    with tempfile.TemporaryFile() as body:
        audit = write_events(_events(client, on_page), body)
        body.seek(0)
        if target is None:
            _write(sys.stdout.buffer, audit, body)
        else:
            with whole_file(target.resolve()) as file:
                os.fchmod(file.fileno(), 0o600)  # it names people: for its owner only
                _write(file, audit, body)
    return audit


def _events(client: Client, on_page: OnPage) -> Iterator[dict[str, Any]]:
    total = int(client.get("/log/root")["tree_size"])
    after: int | None = 0
    while after is not None:
        part = client.get("/log", {"after": after, "limit": PAGE})
        yield from part["events"]
        after = part["next_after"]
        if part["events"]:
            on_page(part["events"][-1]["seq"], total)


def _expect_room(target: Path, force: bool) -> None:
    if target.exists() and not target.is_file():
        raise TargetRefused(f"{target} is no file")
    if target.exists() and target.stat().st_size and not force:
        raise TargetRefused(f"{target} is there already; name a new file, or write over it with --force")
    if not target.resolve().parent.is_dir():
        raise TargetRefused(f"there is no directory {target.parent}")


def _write(file: BinaryIO, audit: LogAudit, body: BinaryIO) -> None:
    file.write(header(audit))
    shutil.copyfileobj(body, file)
    file.flush()

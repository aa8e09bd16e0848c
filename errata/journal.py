"""Journals: JSON lines that a long command appends to, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_journal(path: Path) -> list[Any]:
    """Every whole record; an interruption may have left half of the last one, and what follows a break is not read."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):  # splitlines would cut at U+2028
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def append_journal(path: Path, records: Iterable[Any], *, durable: bool = False) -> None:
    """Append records, a line each.

    Args:
        durable: wait until they are on the disk.

    Raises:
        OSError: the disk does not take them.
    """
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        if durable:
            file.flush()
            os.fsync(file.fileno())

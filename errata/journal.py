"""Journals: JSON lines that a long command appends to, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from errata.files import replace_file


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
    """Append records, a line each; half a record that an interruption left at the end goes.

    Args:
        durable: wait until they are on the disk.

    Raises:
        OSError: the disk does not take them.
    """
    lines = "".join(map(_line, records))
    with path.open("ab+") as file:
        file.truncate(_whole_lines(file))
        file.write(lines.encode())
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _whole_lines(file: BinaryIO) -> int:
    """The size of what ends with a line feed."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            return file.read().rfind(b"\n") + 1
    return size


def replace_journal(path: Path, records: Iterable[Any]) -> None:
    """Write the journal anew; until that is done, the old one stays. Raises OSError."""
    replace_file(path, "".join(map(_line, records)).encode())


def _line(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"

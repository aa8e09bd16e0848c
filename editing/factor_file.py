"""Factor files as they lie on disk: what can be seen of them without reading the factors."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

Signature = tuple[tuple[int, ...], ...] | None
MAX_HEADER = 1 << 20  # bytes; the header of an edit has some hundreds


def signature(paths: Sequence[Path]) -> Signature:
    """Differs whenever one of these files was written, replaced or put back; None while one is missing."""
    try:
        stats = [path.stat() for path in paths]
    except OSError:
        return None
    return tuple((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in stats)


def is_whole(file: BinaryIO) -> bool:
    """Whether a safetensors file, open at its begin, is as long as its own header says.

    That is 8 bytes for the header's length, the header, and the tensors up to the end of the last one.
    """
    head = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(min(head, MAX_HEADER)))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return 8 + head + int(max(ends, default=0)) == os.fstat(file.fileno()).st_size
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return False


def forget(path: Path) -> None:
    """Takes a file that was read out of the page cache, where the system knows how."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError), path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

"""Columns: one number a row in a file of its own, little-endian and without a head, read through the page cache."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexMismatch

Keys = NDArray[np.uint64]
KEY = np.dtype("<u8")
ROW = np.dtype("<u4")


def open_column(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The column of ``shape``, memory-mapped and read-only.

    Raises:
        IndexMismatch: the file is missing or of another size.
    """
    if not path.is_file():
        raise IndexMismatch(path, "the file is missing")
    expected, found = int(np.prod(shape)) * dtype.itemsize, path.stat().st_size
    if found != expected:
        raise IndexMismatch(path, f"holds {found} bytes, not the {expected} of {shape[0]} rows")
    if expected == 0:
        return np.empty(shape, dtype)  # nothing can be mapped
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype).reshape(shape)

"""A column of numbers that is only ever appended to, and can be read while it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Column:
    """One writer appends; readers keep whole views, which never change."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._values: NDArray[Any] = np.empty(64, dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def values(self) -> NDArray[Any]:
        """(n,), what was appended so far."""
        count = self._count  # read before the array, which may be replaced by a longer one in between
        return self._values[:count]

    def extend(self, more: Sequence[Any]) -> None:
        count = self._count + len(more)
        if count > len(self._values):
            grown = np.empty(max(count, 2 * len(self._values)), self._values.dtype)
            grown[: self._count] = self._values[: self._count]
            self._values = grown
        self._values[self._count : count] = more
        self._count = count

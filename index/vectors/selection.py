"""Which rows of a segment a search may find."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Selection:
    """``count`` of ``size`` rows; never changes, and may be searched with from several threads.

    Attributes:
        size: rows that there are.
        count: rows that may be found.
        given: those rows, ascending, or the mask (size,) of them.
    """

    size: int
    count: int
    given: Rows | Mask

    @classmethod
    def of_rows(cls, rows: Rows, size: int) -> Selection:
        return cls(size, len(rows), rows)

    @classmethod
    def of_mask(cls, mask: Mask) -> Selection:
        return cls(len(mask), int(np.count_nonzero(mask)), mask)

    @property
    def rows(self) -> Rows:
        return np.flatnonzero(self.given) if self.given.dtype == np.bool_ else np.asarray(self.given, np.int64)

    @cached_property
    def selector(self) -> Any:
        """For FAISS: one bit a row."""
        import faiss

        mask = self.given
        if mask.dtype != np.bool_:
            mask = np.zeros(self.size, np.bool_)
            mask[self.given] = True
        bits = np.packbits(mask, bitorder="little")
        return faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]

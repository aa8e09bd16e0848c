"""Passages by row, read when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from index.passages.passage import Passage


class PassageSequence(Sequence[Passage]):
    """A sequence of passages of which memory need not hold any; a slice reads those that it names."""

    @abstractmethod
    def passage(self, row: int) -> Passage:
        """The passage of a row from 0 to ``len`` - 1."""

    @overload
    def __getitem__(self, row: int) -> Passage: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Passage]: ...
    def __getitem__(self, row: int | slice) -> Passage | Sequence[Passage]:
        if isinstance(row, slice):
            return tuple(self.passage(number) for number in range(*row.indices(len(self))))
        return self.passage(range(len(self))[row])


@dataclass(frozen=True, eq=False)
class PassageSubset(PassageSequence):
    """Some of the passages, by their rows (n,)."""

    passages: Sequence[Passage]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def passage(self, row: int) -> Passage:
        return self.passages[int(self.rows[row])]

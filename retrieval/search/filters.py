"""Filters: which passages a search may find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.versions.passage_index import PassageIndex


@dataclass(frozen=True)
class Filter:
    """Passages of one of the titles and one of the sources, letter for letter; of an empty tuple, any will do.

    Attributes:
        titles: of articles.
        sources: addresses or file names, as the passages name them.
    """

    titles: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is left out at all."""
        return bool(self.titles or self.sources)


def allowed_rows(index: PassageIndex, only: Filter | None) -> NDArray[np.int64] | None:
    """The rows that a search may find, in order; None: all."""
    if not only:
        return None
    return index.rows_where(only.titles or None, only.sources or None)

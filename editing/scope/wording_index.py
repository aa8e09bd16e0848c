"""The wordings of all edits in a FAISS index, a row each, and who owns them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from editing.scope.column import Column

CANDIDATES = 24  # nearest wordings looked at
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class WordingIndex:
    """Texts by row. A text that several edits share is one row. One writer adds while others search.

    bfloat16 takes half the memory and time of float32, and only chooses what the model then reads.

    Attributes:
        texts: by row.
    """

    def __init__(self, dim: int) -> None:
        self.texts: list[str] = []
        self._row: dict[str, int] = {}
        self._index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_bf16, faiss.METRIC_INNER_PRODUCT)
        self._index.train(np.zeros((1, dim), np.float32))
        self._owned, self._owner = Column(np.int32), Column(np.int32)  # pairs of row and edit
        self._lock = threading.Lock()

    def __contains__(self, text: str) -> bool:
        return text in self._row

    def add(self, texts: Sequence[str], sentences: Floats) -> None:
        """Texts (n) with their vectors (n, d); those that are there are passed over."""
        new = [n for n, text in enumerate(texts) if text not in self._row]
        if not new:
            return
        with self._lock:
            self._index.add(sentences[new])
            for n in new:
                self._row[texts[n]] = len(self.texts)
                self.texts.append(texts[n])

    def own(self, ordinal: int, texts: Sequence[str]) -> None:
        """Texts that are there belong to an edit."""
        rows = sorted({self._row[text] for text in texts if text in self._row})
        self._owned.extend(rows)
        self._owner.extend([ordinal] * len(rows))

    def of(self, edits: Mask) -> Mask:
        """Which rows belong to any of these edits."""
        owner = self._owner.values
        owned = self._owned.values[: len(owner)]
        known = owner < len(edits)
        rows = np.zeros(len(self.texts), bool)
        rows[owned[known][edits[owner[known]]]] = True
        return rows

    def clear(self, rows: Mask, texts: Sequence[str]) -> None:
        """Takes texts out of a mask of rows."""
        rows[[row for text in texts if (row := self._row.get(text, len(rows))) < len(rows)]] = False

    def nearest(self, vector: Floats, rows: Mask) -> list[tuple[int, float]]:
        """Of these rows the nearest to a vector (d,) with their cosines, at most ``CANDIDATES``."""
        allowed = int(rows.sum())
        if not allowed:
            return []
        with self._lock:
            count = self._index.ntotal
            if 2 * allowed > count:  # the plain search is twice as fast, and most of what it finds is allowed
                cosines, found = self._index.search(vector[None], min(3 * CANDIDATES, count))
                near = [pair for pair in _pairs(cosines, found) if pair[0] < len(rows) and rows[pair[0]]][:CANDIDATES]
                if len(near) == min(CANDIDATES, allowed):
                    return near
            bits = np.packbits(np.pad(rows, (0, count - len(rows))), bitorder="little")
            params = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg, arg-type]
            return _pairs(*self._index.search(vector[None], min(CANDIDATES, allowed), params=params))


def _pairs(cosines: Floats, rows: NDArray[np.int64]) -> list[tuple[int, float]]:
    """Rows that were found, with their cosines, nearest first."""
    return [(int(row), float(cosine)) for row, cosine in zip(rows[0], cosines[0], strict=True) if row >= 0]

"""The wordings of all edits in a FAISS index, a row each, and who owns them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from editing.scope.column import Column
from editing.scope.head import Floats

CANDIDATES = 24  # nearest wordings looked at, and edits at most
Mask = NDArray[np.bool_]


class WordingIndex:
    """Texts by row. A text that several edits share is one row. One writer adds while others search.

    bfloat16 takes half the memory and time of float32, and only chooses what the head then judges.

    Attributes:
        texts: by row.
    """

    def __init__(self, dim: int) -> None:
        self.texts: list[str] = []
        self._row: dict[str, int] = {}
        self._index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_bf16, faiss.METRIC_INNER_PRODUCT)
        self._index.train(np.zeros((1, dim), np.float32))
        self._owned, self._owner = Column(np.int32), Column(np.int32)  # pairs of row and edit, the edits ascending
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
        """Texts that are there belong to an edit; edits come in the order of their ordinals."""
        rows = sorted({self._row[text] for text in texts if text in self._row})
        self._owned.extend(rows)
        self._owner.extend([ordinal] * len(rows))

    def of(self, edits: Mask) -> Mask:
        """Which rows belong to any of these edits."""
        owner = self._owner.values
        owner = owner[: np.searchsorted(owner, len(edits))]
        owned = self._owned.values[: len(owner)]
        rows = np.zeros(len(self.texts), bool)
        rows[owned[edits[owner]]] = True
        return rows

    def clear(self, rows: Mask, texts: Sequence[str]) -> None:
        """Takes texts out of a mask of rows."""
        rows[[row for text in texts if (row := self._row.get(text, len(rows))) < len(rows)]] = False

    def nearest(self, sentence: Floats, rows: Mask) -> list[int]:
        """Of these rows the nearest to a vector (d,), at most ``CANDIDATES``."""
        allowed = int(rows.sum())
        if not allowed:
            return []
        with self._lock:
            count = self._index.ntotal
            if 2 * allowed > count:  # the plain search is twice as fast, and most of what it finds is allowed
                _, found = self._index.search(sentence[None], min(3 * CANDIDATES, count))
                near = [int(row) for row in found[0] if row < len(rows) and rows[row]][:CANDIDATES]
                if len(near) == min(CANDIDATES, allowed):
                    return near
            bits = np.packbits(np.pad(rows, (0, count - len(rows))), bitorder="little")
            params = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg, arg-type]
            _, found = self._index.search(sentence[None], min(CANDIDATES, allowed), params=params)
        return [int(row) for row in found[0] if row >= 0]

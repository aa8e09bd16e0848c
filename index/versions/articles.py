"""The articles (title and source together) that an index holds passages of, told apart without reading any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from index.passages.column import KEY, Keys
from index.passages.id_table import text_key
from index.passages.passage import Passage
from index.segments.segment import article_keys
from index.vectors.selection import Rows
from index.versions.passage_index import PassageIndex

_BLOCK = 1 << 20  # rows


def articles_after(index: PassageIndex, gone: Rows, added: Sequence[Passage]) -> int:
    """The number of articles (title and source) when the rows ``gone``, ascending, go and ``added`` come."""
    new = _keys_of(added)
    touched = np.concatenate([new, *(keys[np.isin(rows, gone)] for rows, keys in _keys(index))])
    before, after = [new[:0]], [new]
    for rows, keys in _keys(index):
        hit = np.isin(keys, touched)
        before.append(keys[hit])
        after.append(keys[hit & ~np.isin(rows, gone)])
    return index.manifest.articles - len(np.unique(np.concatenate(before))) + len(np.unique(np.concatenate(after)))


def rows_beside(index: PassageIndex, passages: Sequence[Passage]) -> Rows:
    """The rows, ascending, of all passages of the articles that ``passages`` are of, in one pass over the index."""
    keys = _keys_of(passages)
    return np.concatenate([rows[np.isin(there, keys)] for rows, there in _keys(index)])


def _keys_of(passages: Sequence[Passage]) -> Keys:
    """The key of each article that passages are of, ascending."""
    texts = (text for passage in passages for text in (passage.title, passage.source))
    titles, sources = np.fromiter(map(text_key, texts), KEY, 2 * len(passages)).reshape(-1, 2).T
    return np.unique(article_keys(titles, sources))


def _keys(index: PassageIndex) -> Iterator[tuple[Rows, Keys]]:
    """Rows and the key of each one's article, some at a time."""
    for start, segment in zip(index.passages.starts, index.segments, strict=False):
        for first in range(0, len(segment), _BLOCK):
            live = np.arange(first, min(first + _BLOCK, len(segment)))
            yield live + start, segment.article_keys(live)

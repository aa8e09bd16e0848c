"""Vectors that need not be made: those of passages that stand, word for word, in a version that is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexingError
from index.passages.passage import Passage
from index.vectors.vector_index import EncoderIdentity
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Vectors
from retrieval.encoders.passage_text import TEMPLATE, render
from retrieval.indexing.embed import Known


def known_vectors(root: Path, encoder: EncoderIdentity) -> Known:
    """Looks passages up in all versions under ``root`` that the same encoder made, the latest first.

    A vector is taken where id and embedded text are the same. Versions that are damaged are passed over.
    """
    versions = IndexVersions(root)
    indexes: list[PassageIndex] = []
    for listed in reversed(versions.list()):
        recipe = listed.manifest.recipe
        if (recipe.encoder.digest, recipe.template) == (encoder.digest, TEMPLATE):
            try:
                indexes.append(versions.open(listed.manifest.version, encoder))
            except IndexingError:
                continue
    return _Found(tuple(indexes), encoder.dimension)


class _Found:
    def __init__(self, indexes: tuple[PassageIndex, ...], dimension: int) -> None:
        self.indexes, self.dimension = indexes, dimension

    def __call__(self, passages: Sequence[Passage]) -> tuple[NDArray[np.int64], Vectors]:
        vectors = np.empty((len(passages), self.dimension), np.float32)
        found = np.zeros(len(passages), np.bool_)
        for index in self.indexes:
            missing = np.flatnonzero(~found)
            if not len(missing):
                break
            rows = index.rows_of([passages[place].id for place in missing.tolist()])
            same = [
                row >= 0 and render(index.passages[row]) == render(passages[place])
                for place, row in zip(missing.tolist(), rows.tolist(), strict=True)
            ]
            places = missing[same]
            vectors[places] = index.vectors_of(rows[same])
            found[places] = True
        lengths = np.linalg.norm(vectors[found], axis=1, keepdims=True)
        return np.flatnonzero(found), vectors[found] / lengths

"""Bringing a version up to date with a corpus: only what is new or different is embedded, what is gone is deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from index.passages.passage_file import PassageFile
from index.passages.sequence import PassageSubset
from index.segments.segment import article_keys
from index.versions.amend import amend_index
from index.versions.manifest import Manifest
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import TextEncoder
from retrieval.indexing.builder import SHARDS, embed_new
from retrieval.indexing.corpus_cache import COMPARING, CorpusSource, Watch, cut_corpus, unwatched

_BLOCK = 4096  # passages compared at a time


@dataclass(frozen=True)
class UpdateResult:
    """What an update made.

    Attributes:
        manifest: of the new version; of the old one if nothing changed.
        added: passages that are new, or stand under their id with another text.
        deleted: passages that are not in the corpus any more.
        embedded: how many of the added had to be embedded.
        skipped: what was left out of the corpus, by reason.
        notes: what the reader of the corpus had to assume.
    """

    manifest: Manifest
    added: int
    deleted: int
    embedded: int
    skipped: dict[str, int]
    notes: tuple[str, ...] = ()


def update_index(
    root: Path,
    version: str,
    source: CorpusSource,
    encoder: TextEncoder,
    delete_missing: bool = True,
    watch: Watch = unwatched,
) -> UpdateResult:
    """Make a version that says what the corpus says now; ``version`` stays as it is. Resumable as a build is.

    Passages of articles (title and source) that are in the corpus become those of the corpus. Articles that are not in
    it are deleted if ``delete_missing`` and their source is of the same place as one of the corpus: the same host of an
    address, or any file if the corpus's sources are files. So a version of a wiki and some folders is updated with a
    newer dump of the wiki, and the folders stay.

    Args:
        root: the directory of all versions.
        version: the one to begin with.
        source: the corpus; its ``words`` should be those of the version.
        encoder: the one that made the version.
        delete_missing: whether articles that the corpus does not hold go.
        watch: called with the progress.

    Raises:
        UnknownIndex, IndexMismatch: there is no such version, it is damaged, or of another encoder.
        CorpusError, EmbeddingError, IndexStorageError, AmendmentError: as ``build_source_index`` and ``amend_index``.
    """
    index = IndexVersions(root).open(version, encoder.identity)
    with cut_corpus(root, source, watch) as cut:
        passages = cut.split.passages
        assert isinstance(passages, PassageFile)
        changed, places = _compared(index, passages, watch)
        added = PassageSubset(passages, changed)
        gone = list(_gone(index, passages, places if delete_missing else frozenset()))
        name = f"{version}-{source.stamp()}"
        shards = embed_new(root, name, added, encoder, watch)
        manifest = amend_index(root, version, add=added, vectors=shards, delete=gone)
        shutil.rmtree(root / SHARDS / name, ignore_errors=True)
        skipped = {**cut.split.skipped, "empty articles": cut.split.empty, "repeated passages": cut.split.duplicates}
        return UpdateResult(manifest, len(added), len(gone), shards.embedded, skipped, cut.notes)


def _compared(index: PassageIndex, passages: PassageFile, watch: Watch) -> tuple[NDArray[np.int64], frozenset[str]]:
    """Rows of passages that the index does not hold word for word, and the places that all of them come from."""
    changed: list[NDArray[np.int64]] = []
    places: set[str] = set()
    for first in range(0, len(passages), _BLOCK):
        block = passages[first : first + _BLOCK]
        there = index.rows_of([passage.id for passage in block]).tolist()
        pairs = enumerate(zip(there, block, strict=True), start=first)
        changed.append(np.array([number for number, (row, one) in pairs if row < 0 or index.passages[row] != one], int))
        places |= {place_of(source) for source in {passage.source for passage in block}}
        watch(COMPARING, first + len(block), len(passages))
    return np.concatenate(changed), frozenset(places)


def _gone(index: PassageIndex, passages: PassageFile, places: frozenset[str]) -> Iterator[str]:
    """Ids of passages that the index holds and the corpus does not, though it holds their article, or their place."""
    articles = np.unique(article_keys(passages.titles, passages.sources))
    for segment in index.segments:
        ids = segment.file.ids
        rows = np.sort(ids.rows[passages.ids.rows_of(ids.keys) < 0].astype(np.int64))
        rows = rows[~np.isin(rows, segment.deleted)]
        of_articles = np.isin(article_keys(segment.file.titles[rows], segment.file.sources[rows]), articles)
        for row, is_known in zip(rows.tolist(), of_articles.tolist(), strict=True):
            passage = segment.file[row]
            if is_known or place_of(passage.source) in places:
                yield passage.id


def place_of(source: str) -> str:
    """The host of an address; nothing for a file's name."""
    try:
        parts = urlsplit(source)
    except ValueError:  # looks like an address and is none
        return ""
    return parts.netloc if parts.scheme in {"http", "https"} else ""

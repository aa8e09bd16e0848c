"""Building: passages and their vectors to a version directory, which appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from errata.clock import now
from errata.files import sync
from index.atomic_files import storing
from index.errors import IndexMismatch
from index.passages.passage import Passage, Split
from index.segments.record import FIRST_SEGMENT
from index.segments.writer import write_segment
from index.vectors.search_types import AUTO
from index.vectors.vector_index import EncoderIdentity, Vectors
from index.versions.manifest import MANIFEST_FILE, Manifest, Recipe
from index.versions.name import version_name
from index.versions.passage_index import open_index
from index.versions.workspace import BUILDING, publish, task_lock, workspace


def build_index(root: Path, recipe: Recipe, split: Split, vectors: Iterable[Vectors]) -> Manifest:
    """Build a version under ``root``; if it is there and whole, nothing is done, if it is damaged, it is replaced.

    It is written beside and moved into place when it is on the disk: a build that fails or is killed damages nothing,
    and the next one begins again from ``vectors``. Builders of one root wait for each other.

    For a large corpus: ``write_passages`` cuts it onto the disk, ``split.passages`` is embedded by slices into shards,
    and both come here; memory then holds what ``search_types`` says, not the corpus.

    Args:
        root: the directory of all versions; made if it is not there.
        recipe: how the vectors were made, and the type of the search (``auto``: by the number of passages).
        split: n passages, at least one; of ``split_articles``, or for a large corpus of ``write_passages``, whose files
            are then shared and never read into memory.
        vectors: blocks (m, d) of float32 unit vectors, n rows in all, in the order of the passages; read once.

    Raises:
        IndexStorageError: the disk does not take it.
        ValueError: no passages, vectors that are not as above, or a type or parameter that is not possible.
    """
    if not split.passages:
        raise ValueError("an index needs at least one passage")
    chosen = recipe.type != AUTO
    recipe = recipe.resolve(len(split.passages))
    with storing(root), task_lock(root, BUILDING):
        version = version_name(recipe, split.passages)
        built = find_whole(root / version, recipe.encoder)
        if built is not None:
            return built
        with workspace(root, BUILDING) as place:
            record = recipe.segment(FIRST_SEGMENT, len(split.passages))
            files = write_segment(place, record, recipe.encoder, split.passages, vectors)
            manifest = Manifest(
                version=version,
                built_at=now("seconds"),
                recipe=recipe,
                passages=record.rows,
                articles=split.articles,
                skipped_empty=split.empty,
                skipped_duplicates=split.duplicates,
                files={path: digest for path, (digest, _) in files.items()},
                sizes={path: size for path, (_, size) in files.items()},
                segments=(record,),
                type_chosen=chosen,
                skipped=dict(split.skipped),
            )
            return place_version(place, root, manifest, BUILDING)


def find_built(root: Path, recipe: Recipe, passages: Sequence[Passage]) -> Manifest | None:
    """The manifest of the version that a build would make, if it is there and whole."""
    return find_whole(root / version_name(recipe, passages), recipe.encoder) if passages else None


def find_whole(directory: Path, encoder: EncoderIdentity) -> Manifest | None:
    """The manifest of the version in ``directory``, if it is there and opens for queries of ``encoder``."""
    if not directory.exists():
        return None
    try:
        return open_index(directory, encoder).manifest
    except IndexMismatch:
        return None


def place_version(place: Path, root: Path, manifest: Manifest, task: str) -> Manifest:
    """Write the manifest of the version that was made in ``place`` and give it its name under ``root``.

    Returns:
        The manifest; if the same version is there already and whole, that one's, and nothing is done.
    """
    there = find_whole(root / manifest.version, manifest.recipe.encoder)
    if there is not None:
        return there
    (place / MANIFEST_FILE).write_bytes(manifest.to_json())
    sync(place / MANIFEST_FILE)
    publish(place, root / manifest.version, task)
    return manifest

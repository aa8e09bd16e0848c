"""Building: passages and their vectors to a version directory, which appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.atomic_files import storing, sync
from index.errors import IndexMismatch
from index.passages.passage import Passage, Split
from index.vectors.search_types import AUTO
from index.versions.manifest import FIRST_SEGMENT, MANIFEST_FILE, Manifest, Recipe, resolved_recipe
from index.versions.name import version_name
from index.versions.opened import open_index
from index.versions.segment_writer import digests, write_segment
from index.versions.workspace import move, sole_maker, workplace

__all__ = ["build_index", "find_built", "version_name"]

_BUILDING = "building"


def find_built(root: Path, recipe: Recipe, passages: Sequence[Passage]) -> Manifest | None:
    """The manifest of the version that a build would make, if it is there and whole."""
    return find_whole(root / version_name(recipe, passages), recipe) if passages else None


def find_whole(directory: Path, recipe: Recipe) -> Manifest | None:
    """The manifest of the version in ``directory``, if it is there and opens."""
    if not directory.exists():
        return None
    try:
        return open_index(directory, recipe.encoder).manifest
    except IndexMismatch:
        return None


def build_index(root: Path, recipe: Recipe, split: Split, vectors: Iterable[NDArray[np.float32]]) -> Manifest:
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
    recipe = resolved_recipe(recipe, len(split.passages))
    with storing(root), sole_maker(root, _BUILDING):
        version = version_name(recipe, split.passages)
        built = find_whole(root / version, recipe)
        if built is not None:
            return built
        with workplace(root, _BUILDING) as place:
            record = write_segment(place, FIRST_SEGMENT, recipe, split.passages, vectors)
            files = digests(place, sorted(path for path in place.iterdir() if path.is_file()))
            manifest = Manifest(
                version=version,
                built_at=now(),
                recipe=recipe,
                passages=record.rows,
                articles=split.articles,
                skipped_empty=split.empty,
                skipped_duplicates=split.duplicates,
                files={name: digest for name, (digest, _) in files.items()},
                sizes={name: size for name, (_, size) in files.items()},
                segments=(record,),
                type_chosen=chosen,
                skipped=dict(split.skipped),
            )
            finish(place, root, manifest, _BUILDING)
    return manifest


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def finish(place: Path, root: Path, manifest: Manifest, doing: str) -> None:
    """Sign what was written in ``place`` and move it to where the version belongs."""
    (place / MANIFEST_FILE).write_bytes(manifest.to_json())
    sync(place / MANIFEST_FILE)
    move(place, root / manifest.version, doing)

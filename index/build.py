"""Building: passages and their vectors to a version directory, which appears whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexMismatch
from index.manifest import MANIFEST_FILE, PASSAGES_FILE, VECTORS_FILE, VERSION_NAME, Manifest, Recipe
from index.opened import open_index
from index.passage_file import PassageFile
from index.passages import Passage, Split, to_line
from index.storage import file_digest, storing, sync
from index.vectors import VectorIndex

_BUILDING = ".building-"
_REPLACED = ".replaced-"


def version_name(recipe: Recipe, passages: Sequence[Passage]) -> str:
    """The corpus's name and 8 hex digits, a digest of recipe and passages: the same content has the same name."""
    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for block in passages.blocks() if isinstance(passages, PassageFile) else map(to_line, passages):
        digest.update(block)
    version = f"{recipe.corpus.name}-{digest.hexdigest()[:8]}"
    if not VERSION_NAME.fullmatch(version):
        raise ValueError(f"the corpus name {recipe.corpus.name!r} does not make a file name")
    return version


def find_built(root: Path, recipe: Recipe, passages: Sequence[Passage]) -> Manifest | None:
    """The manifest of the version that a build would make, if it is there and whole."""
    directory = root / version_name(recipe, passages)
    if not directory.exists():
        return None
    try:
        return open_index(directory, recipe.encoder).manifest
    except IndexMismatch:
        return None


def build_index(root: Path, recipe: Recipe, split: Split, vectors: Iterable[NDArray[np.float32]]) -> Manifest:
    """Build a version under ``root``; if it is there and whole, nothing is done, if it is damaged, it is replaced.

    It is written beside and moved into place when it is on the disk: a build that fails or is killed damages nothing.
    Builders of one root wait for each other.

    Args:
        root: the directory of all versions; made if it is not there.
        recipe: how the vectors were made.
        split: n passages, at least one; of ``split_articles``, or for a large corpus of ``write_passages``, whose files
            are then linked and never read into memory.
        vectors: blocks (m, d) of float32 unit vectors, n rows in all, in the order of the passages.

    Raises:
        IndexStorageError: the disk does not take it.
        ValueError: no passages, or vectors that are not as above.
    """
    if not split.passages:
        raise ValueError("an index needs at least one passage")
    with storing(root), _sole_builder(root):
        built = find_built(root, recipe, split.passages)
        if built is not None:
            return built
        workplace = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=root))
        try:
            manifest = _write(workplace, recipe, split, vectors)
            _move(workplace, root / manifest.version)
        except BaseException:
            shutil.rmtree(workplace, ignore_errors=True)
            raise
    return manifest


def _write(directory: Path, recipe: Recipe, split: Split, vectors: Iterable[NDArray[np.float32]]) -> Manifest:
    index = VectorIndex.of(vectors, recipe.encoder.dimension)
    if len(index) != len(split.passages):
        raise ValueError(f"{len(index)} vectors for {len(split.passages)} passages")
    index.write(directory / VECTORS_FILE)
    with (directory / PASSAGES_FILE).open("wb") as lines:
        lines.writelines(map(to_line, split.passages))
    manifest = Manifest(
        version=version_name(recipe, split.passages),
        built_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        recipe=recipe,
        passages=len(split.passages),
        articles=split.articles,
        skipped_empty=split.empty,
        skipped_duplicates=split.duplicates,
        files={name: file_digest(directory / name) for name in (VECTORS_FILE, PASSAGES_FILE)},
    )
    (directory / MANIFEST_FILE).write_bytes(manifest.to_json())
    directory.chmod(0o755)  # mkdtemp makes it private
    for name in (VECTORS_FILE, PASSAGES_FILE, MANIFEST_FILE, "."):
        sync(directory / name)
    return manifest


def _move(workplace: Path, place: Path) -> None:
    """Move a finished version to its place; what is there is damaged and goes aside first."""
    if place.exists():
        aside = Path(tempfile.mkdtemp(prefix=_REPLACED, dir=place.parent))
        place.rename(aside / place.name)
    workplace.rename(place)
    sync(place.parent)
    _sweep(place.parent)


@contextmanager
def _sole_builder(root: Path) -> Iterator[None]:
    """Hold the root's lock, which the system takes back if the process dies; then sweep up what dead builders left."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep(root)
        yield


def _sweep(root: Path) -> None:
    for prefix in (_BUILDING, _REPLACED):
        for left in root.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)

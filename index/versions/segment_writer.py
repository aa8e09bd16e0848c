"""Writing a segment: passages and vectors in, the files of a Segment and their record out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from index.atomic_files import file_digest, sync
from index.passages.passage import Passage
from index.passages.passage_file import PASSAGE_FILES, PassageFile
from index.passages.writer import write_passage_file
from index.vectors.search_types import parameters_for
from index.vectors.vector_index import Vectors
from index.vectors.writer import write_vectors
from index.versions.manifest import Recipe, SegmentRecord
from index.versions.workspace import share


def write_segment(
    place: Path, name: str, recipe: Recipe, passages: Sequence[Passage], vectors: Iterable[Vectors]
) -> SegmentRecord:
    """Write the segment ``name`` of the version that is made in ``place``.

    Args:
        place: directory of the version.
        name: of the segment.
        recipe: with the type of this segment.
        passages: n, no two of the same id; the files of a PassageFile are shared, not copied.
        vectors: blocks (m, d), n rows in all, in the order of the passages.

    Raises:
        ValueError: the vectors are not as the recipe says, or two passages have the same id.
        IndexStorageError, OSError: the disk does not take it.
    """
    directory = place / name
    directory.mkdir(exist_ok=True)
    parameters = parameters_for(recipe.type, len(passages), recipe.encoder.dimension, recipe.parameters)
    written = write_vectors(directory, vectors, len(passages), recipe.encoder, recipe.type, parameters)
    if not (isinstance(passages, PassageFile) and _shared(passages.path.parent, directory)):
        repeated = write_passage_file(passages, directory)
        if repeated:
            raise ValueError(f"{repeated} of the passages have the id of another one")
    for file in written:
        sync(directory / file)
    return SegmentRecord(name, recipe.type, len(passages), 0, parameters)


def _shared(source: Path, target: Path) -> bool:
    """Share the files of a passage file; False if some are not there."""
    if not all((source / file).is_file() for file in PASSAGE_FILES):
        return False
    for file in PASSAGE_FILES:
        share(source / file, target / file)
    return True


def digests(place: Path, paths: Iterable[Path]) -> dict[str, tuple[str, int]]:
    """sha256 and size of files, by path within ``place``."""
    return {str(path.relative_to(place)): (file_digest(path), path.stat().st_size) for path in paths}

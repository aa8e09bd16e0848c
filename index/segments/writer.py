"""Writing segments: of passages and vectors, or of the files of another version's segment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from errata.files import file_digest, sync
from index.passages.column import ROW
from index.passages.passage import Passage
from index.passages.passage_file import PASSAGE_FILES, PassageFile
from index.passages.writer import write_passage_file
from index.segments.record import SegmentRecord
from index.segments.segment import DELETED_FILE, Segment
from index.vectors.selection import Rows
from index.vectors.vector_index import EncoderIdentity, Vectors
from index.vectors.writer import write_vectors

FileDigests = dict[str, tuple[str, int]]
"""sha256 (64 hex digits) and size by path within the version's directory."""


def write_segment(
    version: Path,
    record: SegmentRecord,
    encoder: EncoderIdentity,
    passages: Sequence[Passage],
    vectors: Iterable[Vectors],
) -> FileDigests:
    """Write a segment of passages and their vectors. Returns its files.

    Args:
        version: directory of the version that is made.
        record: of the segment, with all its parameters; nothing in it is deleted.
        encoder: who made the vectors.
        passages: n, no two of the same id; the files of a PassageFile are shared, not copied.
        vectors: blocks (m, d), n rows in all, in the order of the passages.

    Raises:
        ValueError: the vectors are not as the encoder makes them, or two passages have the same id.
        IndexStorageError, OSError: the disk does not take it.
    """
    directory = version / record.name
    directory.mkdir(exist_ok=True)
    written = write_vectors(directory, vectors, record.rows, encoder, record.type, record.parameters)
    if not (isinstance(passages, PassageFile) and _share_passages(passages.path.parent, directory)):
        repeated = write_passage_file(passages, directory)
        if repeated:
            raise ValueError(f"{repeated} of the passages have the id of another one")
    for file in written:
        sync(directory / file)
    return _digests(version, sorted(path for path in directory.iterdir() if path.is_file()))


def share_segment(
    version: Path, other: Path, other_files: Mapping[str, str], segment: Segment, deleted: Rows
) -> tuple[SegmentRecord, FileDigests]:
    """Give the version that is made a segment of another version, with other rows deleted.

    Its files are shared, all but the list of deleted rows, which is written anew if it is another one.

    Args:
        version: directory of the version that is made.
        other: that of the version which has the segment.
        other_files: the digests of the other version's files.
        segment: of the other version.
        deleted: rows, ascending.

    Returns:
        Its record, and its files.
    """
    record = replace(segment.record, deleted=len(deleted))
    (version / record.name).mkdir(exist_ok=True)
    own = [name for name in other_files if Path(name).parent == Path(record.name)]
    if record != segment.record:
        own = [name for name in own if Path(name).name != DELETED_FILE]
    for name in own:
        share_file(other / name, version / name)
    files = {name: (other_files[name], (version / name).stat().st_size) for name in own}
    if record != segment.record:
        path = version / record.name / DELETED_FILE
        path.write_bytes(deleted.astype(ROW).tobytes())
        sync(path)
        files |= _digests(version, [path])
    return record, files


def share_file(source: Path, target: Path) -> None:
    """Give ``target`` the content of ``source``: a second name of the same file, or a copy where links do not work.

    Files of versions are never written to again, so what is shared stays as it is.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        sync(target)


def _share_passages(source: Path, target: Path) -> bool:
    """Share the files of a passage file; False if some are not there."""
    if not all((source / file).is_file() for file in PASSAGE_FILES):
        return False
    for file in PASSAGE_FILES:
        share_file(source / file, target / file)
    return True


def _digests(version: Path, paths: Iterable[Path]) -> FileDigests:
    return {str(path.relative_to(version)): (file_digest(path), path.stat().st_size) for path in paths}

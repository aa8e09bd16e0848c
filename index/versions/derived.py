"""Versions made from another one: segments that are shared with it, and the name that follows from all segments."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from index.atomic_files import sync
from index.passages.column import ROW
from index.passages.passage_file import PASSAGES_FILE
from index.vectors.selection import Rows
from index.versions.manifest import FIRST_SEGMENT, Manifest, Recipe, SegmentRecord
from index.versions.name import named
from index.versions.segment import DELETED_FILE, Segment
from index.versions.segment_writer import digests
from index.versions.workspace import share

Files = dict[str, tuple[str, int]]  # digest and size by path within the version


def share_segment(
    place: Path, parent: Path, manifest: Manifest, segment: Segment, deleted: Rows
) -> tuple[SegmentRecord, Files]:
    """Put a segment of the version ``parent`` into the one made in ``place``, with these rows deleted.

    Its files are shared, all but the list of deleted rows, which is written anew if it is another one.
    """
    record = replace(segment.record, deleted=len(deleted))
    (place / record.name).mkdir(exist_ok=True)
    own = [name for name in manifest.files if Path(name).parent == Path(record.name)]
    if record != segment.record:
        own = [name for name in own if Path(name).name != DELETED_FILE]
    for name in own:
        share(parent / name, place / name)
    files = {name: (manifest.files[name], (place / name).stat().st_size) for name in own}
    if record != segment.record:
        path = place / record.name / DELETED_FILE
        path.write_bytes(deleted.astype(ROW).tobytes())
        sync(path)
        files |= digests(place, [path])
    return record, files


def next_name(records: Sequence[SegmentRecord]) -> str:
    """For a further segment."""
    numbers = [int(record.name.removeprefix("segment-")) for record in records if record.name != FIRST_SEGMENT]
    return f"segment-{max(numbers, default=0) + 1}"


def own_recipe(recipe: Recipe, kind: str) -> Recipe:
    """The recipe of a segment of type ``kind``: what the caller chose for another type does not hold for it."""
    return replace(recipe, type=kind, parameters=recipe.parameters if kind == recipe.type else {})


def derived_name(recipe: Recipe, records: Sequence[SegmentRecord], files: Files) -> str:
    """The corpus's name and 8 hex digits, a digest of the recipe and of the passages, deleted ones too, by segment."""
    content = [recipe.fields()]
    for record in records:
        paths = (str(Path(record.name) / name) for name in (PASSAGES_FILE, DELETED_FILE))
        content.append({"rows": record.rows, "files": [files[path][0] if path in files else "" for path in paths]})
    return named(recipe, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest())


def physical(index_segments: Sequence[Segment], rows: Rows) -> list[Rows]:
    """For each segment its deleted rows, when ``rows`` (of the index, ascending) are deleted too."""
    deleted, start = [], 0
    for segment in index_segments:
        first, behind = np.searchsorted(rows, (start, start + len(segment)))
        deleted.append(np.union1d(segment.deleted, segment.rows_of(rows[first:behind] - start)))
        start += len(segment)
    return deleted

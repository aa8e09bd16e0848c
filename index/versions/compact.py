"""Merging segments: many small ones make a search slower, and deleted passages take room."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from index.atomic_files import storing
from index.passages.passage_file import PassageFile
from index.vectors.search_types import index_type, resolved
from index.versions.build import find_whole, finish, now
from index.versions.derived import Files, derived_name, next_name, own_recipe, share_segment
from index.versions.manifest import FIRST_SEGMENT, Manifest, Recipe, SegmentRecord, read_manifest
from index.versions.name import version_name
from index.versions.opened import LivePassages, PassageIndex, open_index
from index.versions.registry import IndexVersions
from index.versions.segment_writer import digests, write_segment
from index.versions.workspace import sole_maker, workplace

MOST_SEGMENTS = 8
MOST_DELETED = 0.2  # of a segment's rows
_LARGE = 4  # times the rows of all others together: too large to be written again for their sake
_COMPACTING = "compacting"


def to_merge(segments: Sequence[SegmentRecord]) -> tuple[int, ...]:
    """The rule: which segments should be merged into one; none if it is empty.

    - Where a segment has more than a fifth of its rows deleted, it and all smaller ones.
    - Where there are more than 8, all of them, but not the largest if it holds more than 4 times what the others hold.
    """
    live = [segment.live for segment in segments]
    worn = [one.live for one in segments if one.deleted > MOST_DELETED * one.rows]
    largest = max(worn, default=-1)
    if len(segments) > MOST_SEGMENTS:
        others = sum(live) - max(live)
        largest = max(largest, max(live) if max(live) <= _LARGE * others else sorted(live)[-2])
    return tuple(place for place, count in enumerate(live) if count <= largest)


def compact_index(root: Path, version: str, everything: bool = False) -> Manifest:
    """Make a version of the same passages with fewer segments, as :func:`to_merge` says; nothing is embedded again.

    The vectors come from the segments (so they are of the precision that those hold). ``version`` stays as it is; the
    new one is not made active. Passages may get other rows, never other ids.

    Args:
        root: the directory of all versions.
        version: the one to begin with.
        everything: merge all segments, whatever the rule says, if there is more than one or anything is deleted.

    Returns:
        The manifest of the new version, or of ``version`` itself if there is nothing to merge.

    Raises:
        UnknownIndex, IndexMismatch, IndexStorageError: as for ``amend_index``.
    """
    with storing(root):
        directory = IndexVersions(root).directory(version)
        with sole_maker(root, _COMPACTING), workplace(root, _COMPACTING) as place:
            index = open_index(directory, read_manifest(directory).recipe.encoder)
            chosen = _chosen(index.manifest.segments, everything)
            if not chosen:
                return index.manifest
            recipe, records, files = _write(place, directory, index, chosen)
            manifest = _manifest(index.manifest, recipe, records, files)
            if len(records) == 1:
                manifest = replace(manifest, version=version_name(recipe, PassageFile.open(place / records[0].name)))
            there = find_whole(root / manifest.version, recipe)
            if there is None:
                finish(place, root, manifest, _COMPACTING)
    return there or manifest


def _chosen(segments: Sequence[SegmentRecord], everything: bool) -> tuple[int, ...]:
    if everything:
        return tuple(range(len(segments))) if len(segments) > 1 or segments[0].deleted else ()
    return to_merge(segments)


def _write(
    place: Path, parent: Path, index: PassageIndex, chosen: Sequence[int]
) -> tuple[Recipe, list[SegmentRecord], Files]:
    """The version's segments: the merged one where the first of the chosen was, the others shared."""
    merged = tuple(index.segments[number] for number in chosen)
    recipe = _recipe(index.manifest, sum(map(len, merged)), len(merged) == len(index.segments))
    names = [segment.record.name for segment in merged]
    name = FIRST_SEGMENT if FIRST_SEGMENT in names else next_name(index.manifest.segments)
    vectors = chain.from_iterable(segment.blocks() for segment in merged)
    records, files = [], Files()
    for number, segment in enumerate(index.segments):
        if number == chosen[0]:
            records.append(write_segment(place, name, recipe, LivePassages(merged), vectors))
            files |= digests(place, sorted(path for path in (place / name).iterdir() if path.is_file()))
        elif number not in chosen:
            record, shared = share_segment(place, parent, index.manifest, segment, np.asarray(segment.deleted))
            records.append(record)
            files |= shared
    return (recipe if len(records) == 1 else index.manifest.recipe), records, files


def _recipe(manifest: Manifest, rows: int, everything: bool) -> Recipe:
    """Of the merged segment: the type that ``rows`` passages get, or the one that was chosen for the whole index."""
    kind = index_type(rows)
    if everything and manifest.type_chosen:
        with suppress(ValueError):  # too few are left for it
            kind = resolved(manifest.recipe.type, rows)
    return own_recipe(manifest.recipe, kind)


def _manifest(parent: Manifest, recipe: Recipe, records: Sequence[SegmentRecord], files: Files) -> Manifest:
    return replace(
        parent,
        version=derived_name(recipe, records, files),
        built_at=now(),
        recipe=recipe,
        files={name: digest for name, (digest, _) in files.items()},
        sizes={name: size for name, (_, size) in files.items()},
        segments=tuple(records),
        parent=parent.version,
    )

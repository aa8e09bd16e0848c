"""Merging segments: many small ones make a search slower, and deleted passages take room."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from index.passages.passage_file import PassageFile
from index.segments.record import FIRST_SEGMENT, SegmentRecord, next_segment_name
from index.vectors.search_types import index_type, resolved
from index.versions.manifest import Manifest, Recipe
from index.versions.name import version_name
from index.versions.passage_index import LivePassages
from index.versions.successor import Successor, successor
from index.versions.workspace import COMPACTING

MOST_SEGMENTS = 8
MOST_DELETED = 0.2  # of a segment's rows
_LARGE = 4  # times the rows of all others together: too large to be written again for their sake


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
    with successor(root, version, COMPACTING) as made:
        manifest = made.parent.manifest
        chosen = _chosen(manifest.segments, everything)
        if not chosen:
            return manifest
        recipe = _merge(made, chosen, everything=len(chosen) == len(manifest.segments))
        manifest = made.manifest(recipe)
        if len(made.records) == 1:
            passages = PassageFile.open(made.place / made.records[0].name)
            manifest = replace(manifest, version=version_name(recipe, passages))
        return made.finish(manifest)


def _chosen(segments: Sequence[SegmentRecord], everything: bool) -> tuple[int, ...]:
    if everything:
        return tuple(range(len(segments))) if len(segments) > 1 or segments[0].deleted else ()
    return to_merge(segments)


def _merge(made: Successor, chosen: Sequence[int], everything: bool) -> Recipe:
    """Put the merged segment where the first of the chosen was, and the others as they are. Returns the recipe."""
    index = made.parent
    merged = tuple(index.segments[number] for number in chosen)
    recipe = _recipe(index.manifest, sum(map(len, merged)), everything)
    names = [segment.record.name for segment in merged]
    name = FIRST_SEGMENT if FIRST_SEGMENT in names else next_segment_name(index.manifest.segments)
    vectors = chain.from_iterable(segment.blocks() for segment in merged)
    for number, segment in enumerate(index.segments):
        if number == chosen[0]:
            made.write(name, recipe, LivePassages(merged), vectors)
        elif number not in chosen:
            made.share(segment, segment.deleted)
    return recipe if len(made.records) == 1 else index.manifest.recipe


def _recipe(manifest: Manifest, rows: int, everything: bool) -> Recipe:
    """Of the merged segment: the type that ``rows`` passages get, or the one that was chosen for the whole index."""
    kind = index_type(rows)
    if everything and manifest.type_chosen:
        with suppress(ValueError):  # too few are left for it
            kind = resolved(manifest.recipe.type, rows)
    return manifest.recipe.of_type(kind)

"""A version that is made from another one: the files that both hold are shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from errata.clock import now
from index.atomic_files import storing
from index.passages.passage import Passage
from index.segments.record import SegmentRecord
from index.segments.segment import Segment
from index.segments.writer import FileDigests, share_segment, write_segment
from index.vectors.selection import Rows
from index.vectors.vector_index import Vectors
from index.versions.build import place_version
from index.versions.manifest import Manifest, Recipe, read_manifest
from index.versions.name import segmented_version_name
from index.versions.passage_index import PassageIndex, open_index
from index.versions.registry import IndexVersions
from index.versions.workspace import task_lock, workspace


@dataclass
class Successor:
    """The version that is made, and its segments so far. Given by :func:`successor`.

    Attributes:
        root: the directory of all versions.
        task: what is done to the parent.
        parent: the version that it is made from.
        parent_directory: where that stands.
        place: where this one is made.
        records: of its segments, in the order of their rows.
        files: of its segments.
    """

    root: Path
    task: str
    parent: PassageIndex
    parent_directory: Path
    place: Path
    records: list[SegmentRecord] = field(default_factory=list)
    files: FileDigests = field(default_factory=dict)

    def share(self, segment: Segment, deleted: Rows) -> None:
        """Take over a segment of the parent, with these rows deleted (ascending)."""
        digests = self.parent.manifest.files
        record, files = share_segment(self.place, self.parent_directory, digests, segment, deleted)
        self.records.append(record)
        self.files |= files

    def write(self, name: str, recipe: Recipe, passages: Sequence[Passage], vectors: Iterable[Vectors]) -> None:
        """Write a segment of its own. Raises ValueError if passages and vectors do not fit each other."""
        record = recipe.segment(name, len(passages))
        self.files |= write_segment(self.place, record, recipe.encoder, passages, vectors)
        self.records.append(record)

    def manifest(self, recipe: Recipe) -> Manifest:
        """Of the parent's articles and of the segments so far."""
        digests = {path: digest for path, (digest, _) in self.files.items()}
        return replace(
            self.parent.manifest,
            version=segmented_version_name(recipe, self.records, digests),
            built_at=now("seconds"),
            recipe=recipe,
            passages=sum(record.live for record in self.records),
            files=digests,
            sizes={path: size for path, (_, size) in self.files.items()},
            segments=tuple(self.records),
            parent=self.parent.manifest.version,
        )

    def finish(self, manifest: Manifest) -> Manifest:
        """Put the version beside the others. Returns its manifest, or that of the same version if it is there."""
        return place_version(self.place, self.root, manifest, self.task)


@contextmanager
def successor(root: Path, version: str, task: str) -> Iterator[Successor]:
    """Begin to make a version from another one; what was not finished at the end of the block is removed.

    Raises:
        UnknownIndex: there is no such version.
        IndexMismatch: a file of it is damaged.
        IndexStorageError: the disk does not take what is written in the block.
    """
    with storing(root):
        directory = IndexVersions(root).directory(version)
        with task_lock(root, task), workspace(root, task) as place:
            parent = open_index(directory, read_manifest(directory).recipe.encoder)
            yield Successor(root, task, parent, directory, place)

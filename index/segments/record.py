"""A segment's line in the manifest: how many passages it holds, how many are deleted, how it is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from index.vectors.search_types import Parameters

FIRST_SEGMENT = "."  # its files stand beside the manifest


@dataclass(frozen=True)
class SegmentRecord:
    """A part of a version: passages with their vectors, which never change, and which of them are deleted.

    Attributes:
        name: of its directory within the version's; ``.`` for the first.
        type: of its search.
        rows: passages in it, n.
        deleted: how many of them are deleted.
        parameters: how it was built and is searched.
    """

    name: str
    type: str
    rows: int
    deleted: int = 0
    parameters: Parameters = field(default_factory=dict)

    @property
    def live(self) -> int:
        return self.rows - self.deleted


def next_segment_name(records: Sequence[SegmentRecord]) -> str:
    """For a further segment beside ``records``."""
    numbers = [int(record.name.removeprefix("segment-")) for record in records if record.name != FIRST_SEGMENT]
    return f"segment-{max(numbers, default=0) + 1}"

"""One sequence of a batch of different edits, and the kind of prompt that it is."""

from __future__ import annotations

from dataclasses import dataclass

from editing.model.prompts import TargetSequence

KEPT_KINDS = ("same_subject", "same_relation", "unrelated")


@dataclass(frozen=True)
class Row:
    """One sequence under one edit of the batch."""

    edit: int
    kind: str
    sequence: TargetSequence

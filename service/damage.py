"""An edit that cannot be served, because its factor file is missing or no longer what was written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """``seq`` is the event that applied the edit, ``why`` says what is wrong with its file."""

    edit_id: str
    seq: int
    why: str

"""A table of a report, whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ReportTable(NamedTuple):
    """A title, the names of the columns, and the rows, a text for each cell."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

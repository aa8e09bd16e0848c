"""Where the benchmarks write: tables in Markdown, between markers of a page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"


def put(text: str, name: str, page: Path = BENCHMARKS) -> None:
    """Put the text between ``<!-- name: begin -->`` and ``<!-- name: end -->``, in place of what stands there.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, opened, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{page} has no markers {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: object) -> str:
    """The names of the columns, and the line beneath them."""
    return f"{row(*cells)}\n{'|---' * len(cells)}|"


def table(columns: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    return "\n".join([head(*columns), *(row(*cells) for cells in rows)])

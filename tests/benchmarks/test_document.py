"""Where the benchmarks write: text between markers of a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.document import put, table


def test_text_goes_between_its_markers(tmp_path: Path) -> None:
    """In place of what stood there; the rest of the page stays as it is, and so does a text that is put again."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb <!-- y: begin --><!-- y: end -->\n")
    put("new | text", "x", page)
    assert page.read_text() == "a\n<!-- x: begin -->\nnew | text\n<!-- x: end -->\nb <!-- y: begin --><!-- y: end -->\n"
    before = page.read_text()
    put("new | text", "x", page)
    assert page.read_text() == before


@pytest.mark.parametrize("content", ["", "<!-- x: begin -->", "<!-- x: end --> <!-- x: begin -->"])
def test_a_page_without_markers_is_left_alone(tmp_path: Path, content: str) -> None:
    """The page and the marker are named."""
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(ValueError, match=r"page\.md.*x: begin"):
        put("new", "x", page)
    assert page.read_text() == content


def test_a_table_in_markdown() -> None:
    """Names, a line, the rows."""
    assert table(("a", "b"), [(1, "x"), (2, "y")]) == "| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |"

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index.corpora.corpus import open_corpus
from index.corpora.skips import Skips
from index.corpora.text_files import read_text, without_markdown
from index.errors import CorpusError
from index.passages.passage import Article

MARKDOWN = """# The *Guide*

A **bold** [link](http://a.b) with `code`,
![picture](p.png) and &amp; <br>more.

- one
  - two

| a | b |
|---|---|
| 1 | 2 |

```py
x = "#"
```

> said

Under
-----
last ~~not~~ <!-- no -->
"""


def written(tmp_path: Path, data: bytes | str, name: str) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_plain_text_is_taken_as_it_is(tmp_path: Path) -> None:
    """The title is the file's name; line ends are one sign, a byte-order mark is gone, Markdown's signs stay."""
    (article,) = read_text(written(tmp_path, "\ufeff# a\r\nb *c*", "My notes.txt"))
    assert article == Article("My notes", "# a\nb *c*", "My notes.txt")


def test_markdown_loses_its_syntax(tmp_path: Path) -> None:
    """The first heading is the title, and where the text begins with it, it is not said twice."""
    (article,) = read_text(written(tmp_path, MARKDOWN, "g.md"))
    assert article.title == "The Guide"
    assert article.text.split("\n\n") == [
        "A bold link with code,\n and & more.",
        "one\ntwo",
        "a\tb\n1\t2",
        'x = "#"',
        "said",
        "Under",
        "last not",
    ]


@pytest.mark.parametrize(
    ("markdown", "title", "text"),
    [
        ("Text.\n\n## Later\n", "Later", "Text.\n\nLater"),
        ('---\ntitle: "Front"\ntags: [a]\n---\nText.', "Front", "Text."),
        ("---\ntitle: Front\n---\n# Head\nText.", "Head", "Text."),
        ("---\n\nText.\n\n---\n", "x", "Text."),
        ("<p align='center'>Text <b>here</b></p>\n", "x", "Text here"),
        ("", "x", ""),
        ("# Only a heading", "Only a heading", ""),
    ],
)
def test_titles_of_markdown(tmp_path: Path, markdown: str, title: str, text: str) -> None:
    """Heading, front matter, file name, in this order."""
    (article,) = read_text(written(tmp_path, markdown, "x.md"))
    assert (article.title, article.text) == (title, text)


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    """Sorted by path, through all folders; the source is the path from there; other files are counted."""
    for name in ("b.md", "a/z.txt", "a/b.rst", "c.markdown", "x.py", "a/y.png", ".hidden.txt"):
        written(tmp_path, "text", name)
    skipped = Skips()
    _, articles = open_corpus(tmp_path, skipped=skipped)
    assert [article.source for article in articles] == ["a/b.rst", "a/z.txt", "b.md", "c.markdown"]
    assert skipped.counts == {"files of another kind": 2}


def test_a_folder_streams(tmp_path: Path) -> None:
    """A file is opened when its turn comes: the articles before a broken one are there first."""
    written(tmp_path, "a", "a.txt")
    written(tmp_path, b"\xff", "b.txt")
    _, articles = open_corpus(tmp_path)
    assert next(articles).title == "a"
    with pytest.raises(CorpusError, match=r"b\.txt, line 1, byte 0: not valid UTF-8"):
        next(articles)


def test_what_is_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NUL and bytes that are not UTF-8 with their place, a file that would fill the memory with its limit."""
    monkeypatch.setattr("index.corpora.text_files.LARGEST", 100)
    for data, why in (
        (b"ab\0c", "byte 2: not text"),
        (b"a\nb\xe9", "line 2, byte 3: not valid UTF-8"),
        (b"a" * 101, "cut it into several files"),
    ):
        with pytest.raises(CorpusError, match=why):
            list(read_text(written(tmp_path, data, "x.txt")))
    with pytest.raises(CorpusError, match="No such file"):
        list(read_text(tmp_path / "absent.txt"))


def test_names_that_are_not_utf8_become_sources_that_are(tmp_path: Path) -> None:
    """A source can always be written down."""
    path = tmp_path / os.fsdecode(b"a\xff.txt")
    path.write_text("a")
    _, articles = open_corpus(tmp_path)
    assert [(article.title, article.source) for article in articles] == [("a\\xff", "a\\xff.txt")]


@pytest.mark.parametrize("part", ["> ", "- ", "[", "*", "`", "<a ", "| "])
def test_deep_nesting_is_read(part: str) -> None:
    """Thirty quotes or lists within each other lose their syntax; of thousands, no word is lost."""
    assert without_markdown("> " * 30 + "a\n\n" + "- " * 30 + "b\n")[1] == "a\n\nb"
    assert without_markdown(part * 3000 + "b\n\nlast")[1].endswith("last")

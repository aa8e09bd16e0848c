"""Articles of plain text and Markdown files, one a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from index.corpora.streams import writable
from index.errors import CorpusError
from index.passages.passage import Article

MARKDOWN = frozenset({".md", ".markdown"})
LARGEST = 1 << 26  # bytes, 64 MiB: an article is held in memory
_FRONT_MATTER = re.compile(r"---[^\S\n]*\n(?=[\w-]+:)(.*?\n)(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[^\S\n]*([\"']?)(.+?)\1[^\S\n]*$", re.MULTILINE)
_DEEPEST = 100  # quotes and lists within each other; a text that is deeper stays as it is
_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)


def read_text(path: Path, name: str | None = None) -> Iterator[Article]:
    """The article that a file is; the source is ``name`` (by default the file's).

    Markdown loses its syntax and its front matter; its title is the first heading, or else that of the front matter,
    or else the file's name without its ending, as for plain text. A heading that begins a text is not
    repeated there.

    Raises:
        CorpusError: the file cannot be read, is not UTF-8 text, or is larger than 64 MiB; names the byte.
    """
    text = _decoded(path)
    title = ""
    if path.suffix.lower() in MARKDOWN:
        title, text = without_markdown(text)
    yield Article(title or writable(path.stem), text, writable(path.name) if name is None else name)


def _decoded(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise CorpusError(path, error.strerror or str(error)) from error
    if len(data) > LARGEST:
        raise CorpusError(path, f"it is larger than {LARGEST >> 20} MiB; cut it into several files")
    if (nul := data.find(b"\0")) >= 0:
        raise CorpusError(path, "not text: it holds a NUL character", f"byte {nul}")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise CorpusError(path, "not valid UTF-8", f"line {line}, byte {error.start}") from error


def without_markdown(text: str) -> tuple[str, str]:
    """(first heading, or the front matter's title, or empty; the text without syntax).

    Paragraphs, headings and blocks of code stand apart by an empty line, items are lines, cells have tabs between.
    """
    from markdown_it import MarkdownIt

    front = _FRONT_MATTER.match(text)
    named = _FRONT_TITLE.search(front[1]) if front else None
    title, body = named[2].strip() if named else "", text[front.end() :] if front else text
    tokens = MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable(["table", "strikethrough"]).parse(body)
    if any(token.level >= _DEEPEST - 1 for token in tokens):
        return title, body.strip()
    heading, plain = _plain(tokens)
    return heading or title, plain


def _plain(tokens: Iterable[Any]) -> tuple[str, str]:
    """(first heading, text) of the tokens of markdown-it."""
    heading, before, written = "", "", ""
    parts: list[str] = []
    for token in tokens:
        line = _written(token)
        if before == "heading_open" and not heading:
            heading = " ".join(line.split())
            line = line if written else ""
        written = written or line.strip()
        parts.append(line + ("\t" if before in {"td_open", "th_open"} else "\n" * (bool(line) + _ends(token))))
        before = token.type
    lines = "".join(parts).split("\n")
    return heading, re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def _ends(token: Any) -> bool:
    """Whether a line ends behind the token: behind a block or a row of a table."""
    return bool(token.type == "tr_close" or (token.level == 0 and token.nesting <= 0))


def _written(token: Any) -> str:
    """What a reader sees of one token of markdown-it, children included."""
    if token.type == "html_block":
        return _TAG.sub("", token.content).strip()
    if token.type != "inline":
        return str(token.content).rstrip() if token.type in {"fence", "code_block"} else ""
    breaks = {"softbreak": "\n", "hardbreak": "\n", "html_inline": "", "image": ""}
    return "".join(breaks.get(child.type, child.content) for child in token.children or ())

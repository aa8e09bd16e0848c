"""Reading a corpus and cutting it into passages on the disk, once: an interrupted build need not read a dump again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from index.atomic_files import replace_file, storing
from index.corpora.corpus import Corpus, Skips, open_corpus
from index.errors import CorpusError
from index.passages.passage import WORDS_PER_PASSAGE, Article, Split
from index.passages.writer import read_split, write_passages
from retrieval.indexing.folder_lock import folder_lock

Watch = Callable[[str, int, int | None], None]
"""Called with a stage (one of those below), what is done of it, and of how much, if that is known."""

READING, COMPARING, EMBEDDING, INDEXING = "reading", "comparing", "embedding", "indexing"
_CUT = ".passages"  # under the root: corpora that are being built
_CORPUS_FILE = "corpus.json"
_FORMAT = 1  # raised when the same files are read otherwise than before
_HEARD = 100  # articles


def unwatched(_stage: str, _done: int, _total: int | None) -> None:
    """For callers that show no progress."""


@dataclass(frozen=True)
class CorpusSource:
    """A corpus to read.

    Attributes:
        path: a file or a folder.
        kind: as ``open_corpus`` names it; None: recognised.
        words: at most in a passage.
    """

    path: Path
    kind: str | None = None
    words: int = WORDS_PER_PASSAGE

    def stamp(self) -> str:
        """16 hex digits that are others when a file of it is another, or was changed. Raises CorpusError."""
        try:
            files = sorted(path for path in self.path.rglob("*") if path.is_file()) or [self.path]
            states = [
                (str(path), *(getattr(path.stat(), name) for name in ("st_size", "st_mtime_ns"))) for path in files
            ]
        except (OSError, ValueError) as error:
            raise CorpusError(self.path, getattr(error, "strerror", None) or str(error)) from error
        said = [_FORMAT, str(self.path.resolve()), self.kind, self.words, states]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CachedCorpus:
    """A corpus in passages.

    Attributes:
        corpus: what it is.
        split: its passages, on the disk.
        words: at most in a passage.
        notes: what the reader had to assume.
    """

    corpus: Corpus
    split: Split
    words: int = WORDS_PER_PASSAGE
    notes: tuple[str, ...] = ()


@contextmanager
def cut_corpus(root: Path, source: CorpusSource, watch: Watch = unwatched) -> Iterator[CachedCorpus]:
    """The corpus, read and cut, or as an interrupted build left it. It is removed when the ``with`` ends well.

    Builders of one corpus wait for each other.

    Raises:
        CorpusError: it is missing, broken, or holds no text.
        IndexStorageError: the disk does not take the passages.
    """
    directory = root / _CUT / source.stamp()
    with storing(directory):
        _sweep(directory.parent)
    with storing(directory), folder_lock(directory):
        yield _read_cut(directory, source.words) or _write_cut(directory, source, watch)
        shutil.rmtree(directory, ignore_errors=True)


def _read_cut(directory: Path, words: int) -> CachedCorpus | None:
    split = read_split(directory)
    try:
        fields = json.loads((directory / _CORPUS_FILE).read_bytes())
        corpus, skipped = Corpus(**fields["corpus"]), dict(fields["skipped"])
        notes = tuple(fields.get("notes", ()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if split is None else CachedCorpus(corpus, replace(split, skipped=skipped), words, notes)


def _write_cut(directory: Path, source: CorpusSource, watch: Watch) -> CachedCorpus:
    skips = Skips()
    corpus, articles = open_corpus(source.path, source.kind, skips)
    try:
        split = write_passages(_heard(articles, watch), directory, source.words)
        if not split.passages:
            raise CorpusError(source.path, f"there is no text in it ({split.empty} empty articles; left out: {skips})")
    except BaseException:  # nothing can be taken up in the middle of a file
        shutil.rmtree(directory, ignore_errors=True)
        raise
    fields = {"corpus": asdict(corpus), "skipped": skips.counts, "notes": skips.notes}
    replace_file(directory / _CORPUS_FILE, json.dumps(fields, ensure_ascii=False).encode())
    return CachedCorpus(corpus, replace(split, skipped=skips.counts), source.words, skips.notes)


def _sweep(cuts: Path) -> None:
    """Remove what killed builds left of reading; what they had finished stays."""
    for left in cuts.iterdir() if cuts.exists() else ():
        if left.is_dir() and not (left / _CORPUS_FILE).exists():
            with suppress(BlockingIOError), folder_lock(left, wait=False):
                if not (left / _CORPUS_FILE).exists():
                    shutil.rmtree(left, ignore_errors=True)


def _heard(articles: Iterator[Article], watch: Watch) -> Iterator[Article]:
    number = 0
    for number, article in enumerate(articles, start=1):
        if number % _HEARD == 0:
            watch(READING, number, None)
        yield article
    watch(READING, number, number)

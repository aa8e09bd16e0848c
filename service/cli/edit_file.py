"""``errata edit --file``: many corrections at once, with progress, results for each line, and a way to go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from service.cli.terminal.options import print_json, server
from service.client.corrections_file import CorrectionsFile, looks_like_csv, read_corrections
from service.client.http import Client, Refusal
from service.client.results_file import ResultsFile, ResultsMismatch
from service.client.uploader import Uploader, UploadOptions

SHOWN = 20  # broken lines, and refused ones, that are told on the terminal
INTERRUPTED = 130


@dataclass(frozen=True)
class EditFileOptions:
    """What the command was asked for; ``file`` may be ``-``."""

    file: str
    manner: UploadOptions
    options: Mapping[str, Any]
    results: Path | None = None
    skip_broken: bool = False
    as_json: bool = False


def edit_file(batch: EditFileOptions, url: str) -> None:
    """Check the whole file, then send it. Status 1 when something is broken, contradicting or refused."""
    reading = _checked(batch)
    try:
        results = ResultsFile(batch.results or _beside(batch), reading.corrections)
        with server(url) as client:
            _expect_same_server(client, results)
            results.begin()
            _send(client, results, batch)
    except (ResultsMismatch, OSError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        typer.secho("interrupted; the same command goes on where it was", err=True, fg="red")
        raise typer.Exit(INTERRUPTED) from None
    if _summary(reading, results, batch)["refused"]:
        raise typer.Exit(1)


def _checked(batch: EditFileOptions) -> CorrectionsFile:
    """The file, if it may be sent."""
    try:
        content = sys.stdin.buffer.read() if batch.file == "-" else Path(batch.file).read_bytes()
    except OSError as error:
        _fail(f"{batch.file} cannot be read: {error.strerror or error}")
    reading = read_corrections(content, looks_like_csv(batch.file, content), batch.options)
    for line, why in reading.broken[:SHOWN]:
        typer.secho(f"{batch.file}:{line}: {why}", err=True, fg="yellow" if batch.skip_broken else "red")
    if len(reading.broken) > SHOWN:
        typer.echo(f"and {len(reading.broken) - SHOWN} more broken lines", err=True)
    if reading.broken and not batch.skip_broken:
        _fail(f"{len(reading.broken)} broken lines; nothing was sent. --skip-broken goes on without them")
    for one, other in reading.contradictions[:SHOWN]:
        said = f"{batch.file}:{other}: asks the same as line {one} and wants another answer"
        typer.secho(said, err=True, fg="red")
    if reading.contradictions:
        _fail(f"{len(reading.contradictions)} contradictions; nothing was sent. Keep one line of each pair")
    if not reading.corrections:
        _fail(f"{batch.file}: no corrections in it")
    return reading


def _beside(batch: EditFileOptions) -> Path:
    """corrections.jsonl → corrections.results.jsonl; a rehearsal's results do not mix with those of the run."""
    name = "corrections" if batch.file == "-" else Path(batch.file).with_suffix("").name
    kind = "dry-run" if batch.manner.dry_run else "results"
    return (Path() if batch.file == "-" else Path(batch.file).parent) / f"{name}.{kind}.jsonl"


def _expect_same_server(client: Client, results: ResultsFile) -> None:
    """A server answers, and the results are its own: those of another say nothing of what this one has done."""
    made = [row["id"] for row in results.rows.values() if row["id"]]
    try:
        client.get(f"/edits/{made[-1]}" if made else "/model")
    except Refusal as refusal:
        if not made or refusal.problem.get("status") != 404:
            raise
        said = f"{results.path} tells of edits that this server does not know ({made[-1]})"
        raise ResultsMismatch(f"{said}; name another with --results, or move it") from None


def _send(client: Client, results: ResultsFile, batch: EditFileOptions) -> None:
    with _progress(results) as (advance, say):
        Uploader(client, results, batch.manner, lambda _: advance(), say).run()


@contextmanager
def _progress(results: ResultsFile) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """What moves the bar, and what writes a line above it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("correcting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[refused]} refused"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:

        def refused() -> int:
            return sum(row["status"] == "refused" for row in results.rows.values())

        done = len(results.rows)
        task = bar.add_task("", total=len(results.corrections), completed=done, refused=refused())
        yield (
            lambda: bar.update(task, completed=len(results.rows), refused=refused()),
            lambda said: bar.console.print(said, markup=False, highlight=False),
        )


def _summary(reading: CorrectionsFile, results: ResultsFile, batch: EditFileOptions) -> dict[str, Any]:
    """Says how many and where to read why."""
    rows = sorted(results.rows.values(), key=lambda row: row["line"])
    refused = [row for row in rows if row["status"] == "refused"]
    counts = {
        "lines": len(reading.corrections),
        "made": sum(row["id"] is not None for row in rows),
        "rehearsed": sum(row["status"] == "rehearsed" for row in rows),
        "refused": len(refused),
        "duplicates": reading.duplicates,
        "broken": len(reading.broken),
        "results": str(results.path),
    }
    if batch.as_json:
        print_json(counts)
        return counts
    said = [f"{counts[name]} {name}" for name in ("made", "rehearsed", "refused") if counts[name]]
    said += [f"{counts['duplicates']} duplicates left out"] if reading.duplicates else []
    said += [f"{counts['broken']} broken lines skipped"] if reading.broken else []
    typer.echo(f"{counts['lines']} corrections: {', '.join(said)}. Each line's result is in {results.path}")
    for row in refused[:SHOWN]:
        problem = row["problem"] or {}
        said_of = f"{batch.file}:{row['line']}: refused: {problem.get('title')}: {problem.get('detail')}"
        typer.secho(said_of, err=True, fg="red")
    if len(refused) > SHOWN:
        typer.echo(f"and {len(refused) - SHOWN} more refused; {results.path} says why", err=True)
    return counts


def _fail(said: str) -> Any:
    typer.secho(said, err=True, fg="red")
    raise typer.Exit(1)

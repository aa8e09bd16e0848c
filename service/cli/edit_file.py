"""``errata edit --file``: many corrections at once, with a result for each line; an interrupted run goes on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from service.cli.terminal.errors import exit_on_error, fail
from service.cli.terminal.options import print_json, server
from service.cli.terminal.progress import ProgressDisplay
from service.client.corrections_file import Correction, CorrectionsFile, looks_like_csv, read_corrections
from service.client.errors import Refusal, ResultsMismatch
from service.client.http import Client
from service.client.results_file import ResultsFile
from service.client.uploader import Uploader, UploadOptions

SHOWN = 20  # broken lines, and refused ones, that are printed
_INTERRUPTED = "interrupted; the same command goes on where it was"


@dataclass(frozen=True)
class EditFileOptions:
    """What the command was asked for.

    Attributes:
        file: the corrections; ``-`` is stdin.
        upload: how they are sent.
        defaults: for all lines, see ``read_corrections``.
        results: where each line's result goes; None: beside the file.
        skip_broken: whether to go on without broken lines.
    """

    file: str
    upload: UploadOptions
    defaults: Mapping[str, Any]
    results: Path | None = None
    skip_broken: bool = False
    as_json: bool = False


def edit_file(options: EditFileOptions, url: str | None) -> None:
    """Check the whole file, then send it. Status 1 when something is broken, contradicting or refused."""
    file = _checked(options)
    with exit_on_error(_INTERRUPTED), server(url) as client:
        results = ResultsFile(options.results or _beside(options), file.corrections)
        _expect_same_server(client, results)
        results.begin()
        _send(client, results, options)
    counts = _counts(file, results)
    if options.as_json:
        print_json(counts)
    else:
        _show(counts, results, options)
    if counts["refused"]:
        raise typer.Exit(1)


def _checked(options: EditFileOptions) -> CorrectionsFile:
    """The file, if it may be sent."""
    name = options.file
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        fail(f"{name} cannot be read: {error.strerror or error}")
    file = read_corrections(content, looks_like_csv(name, content), options.defaults)
    for line, why in file.broken[:SHOWN]:
        typer.secho(f"{name}:{line}: {why}", err=True, fg="yellow" if options.skip_broken else "red")
    if len(file.broken) > SHOWN:
        typer.echo(f"and {len(file.broken) - SHOWN} more broken lines", err=True)
    if file.broken and not options.skip_broken:
        fail(f"{len(file.broken)} broken lines; nothing was sent. --skip-broken goes on without them")
    for one, other in file.contradictions[:SHOWN]:
        typer.secho(f"{name}:{other}: asks the same as line {one} and wants another answer", err=True, fg="red")
    if file.contradictions:
        fail(f"{len(file.contradictions)} contradictions; nothing was sent. Keep one line of each pair")
    if not file.corrections:
        fail(f"{name}: no corrections in it")
    return file


def _beside(options: EditFileOptions) -> Path:
    """corrections.jsonl → corrections.results.jsonl; a rehearsal's results do not mix with those of the run."""
    name = "corrections" if options.file == "-" else Path(options.file).with_suffix("").name
    kind = "dry-run" if options.upload.dry_run else "results"
    return (Path() if options.file == "-" else Path(options.file).parent) / f"{name}.{kind}.jsonl"


def _expect_same_server(client: Client, results: ResultsFile) -> None:
    """A server answers, and the results are its own: those of another say nothing of what this one has done."""
    made = [row["id"] for row in results.rows.values() if row["id"]]
    try:
        client.get(f"/edits/{made[-1]}" if made else "/model")
    except Refusal as refusal:
        if not made or refusal.problem.get("status") != 404:
            raise
        unknown = f"{results.path} tells of edits that this server does not know ({made[-1]})"
        raise ResultsMismatch(f"{unknown}; name another with --results, or move it") from None


def _send(client: Client, results: ResultsFile, options: EditFileOptions) -> None:
    """Send what is not done yet; a bar shows how much is done and how many were refused."""
    done = len(results.rows)
    with (
        ProgressDisplay(keep=False) as progress,
        progress.stage("correcting", len(results.corrections), "corrections", done) as stage,
    ):

        def on_item(_: Correction) -> None:
            stage.update(len(results.rows), note=f"{results.refused} refused")

        Uploader(client, results, options.upload, on_item, progress.say).run()


def _counts(file: CorrectionsFile, results: ResultsFile) -> dict[str, Any]:
    """How many lines came to what, and where to read why; the document of ``--json``."""
    rows = results.rows.values()
    return {
        "lines": len(file.corrections),
        "made": sum(row["id"] is not None for row in rows),
        "rehearsed": sum(row["status"] == "rehearsed" for row in rows),
        "refused": results.refused,
        "duplicates": file.duplicates,
        "broken": len(file.broken),
        "results": str(results.path),
    }


def _show(counts: Mapping[str, Any], results: ResultsFile, options: EditFileOptions) -> None:
    """The counts in a sentence, and the first lines that were refused."""
    parts = [f"{counts[name]} {name}" for name in ("made", "rehearsed", "refused") if counts[name]]
    parts += [f"{counts['duplicates']} duplicates left out"] if counts["duplicates"] else []
    parts += [f"{counts['broken']} broken lines skipped"] if counts["broken"] else []
    typer.echo(f"{counts['lines']} corrections: {', '.join(parts)}. Each line's result is in {results.path}")
    rows = sorted(results.rows.values(), key=lambda row: row["line"])
    refused = [row for row in rows if row["status"] == "refused"]
    for row in refused[:SHOWN]:
        problem = row["problem"] or {}
        reason = f"{problem.get('title')}: {problem.get('detail')}"
        typer.secho(f"{options.file}:{row['line']}: refused: {reason}", err=True, fg="red")
    if len(refused) > SHOWN:
        typer.echo(f"and {len(refused) - SHOWN} more refused; {results.path} says why", err=True)

"""``errata compile``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("compile")
def compile_edits(
    out: Annotated[Path, typer.Option(help="Directory to write; must not exist, or be empty.")],
    merged: Annotated[bool, typer.Option("--merged", help="Write a whole checkpoint instead of an adapter.")] = False,
    revision: Annotated[int | None, typer.Option(min=1, help="Compile the edits in force at this revision.")] = None,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the change of every layer.")] = 32,
    layers: Annotated[
        int, typer.Option(min=0, help="How many of the uppermost layers may change; 0: those that the editor changes.")
    ] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Training steps at most.")] = 600,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of training at most.")] = math.inf,
    rate: Annotated[float, typer.Option("--learning-rate", min=0.0, help="Peak learning rate.")] = 2e-3,
    min_efficacy: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least share of the edits' inputs that must get their output.")
    ] = 0.95,
    min_locality: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Least share of other prompts whose answer must begin as it does now."),
    ] = 0.9,
    sample: Annotated[int, typer.Option(min=1, help="Edits and other prompts that are judged, at most each.")] = 200,
    force: Annotated[bool, typer.Option("--force", help="Write it even when it falls below what was asked.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here, passed or not.")] = None,
    home: Annotated[Path | None, typer.Option(help="Where everything is kept (default: ERRATA_HOME).")] = None,
    seed: Annotated[int, typer.Option(help="Which prompts are made, and how training begins.")] = 0,
) -> None:
    """Turn all edits in force into one adapter, or one checkpoint, that needs no scope decision.

    It is judged by free generation before it is written; what falls below the limits is refused with status 1.
    """
    from editing.errors import EditingError
    from service.cli.terminal.tables import show
    from service.errors import ServiceError
    from service.export.run import ExportOptions, compile_command
    from service.settings import Settings

    if json_file and not json_file.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no directory {json_file.absolute().parent} to write the figures in")
    choices = ExportOptions(
        out, merged, revision, rank, steps, seconds, rate, layers, min_efficacy, min_locality, sample, force, seed
    )
    try:
        report, document = compile_command(choices, Settings(home=home) if home else Settings())
    except (EditingError, ServiceError) as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(1) from None
    if json_file:
        json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show("compiled", ("prompts", "service, as wanted", "compiled, as wanted", "begins as wanted"), report.rows())
    written = report.passed or force
    for shortfall in report.shortfalls:
        typer.secho(shortfall, err=True, fg="yellow" if written else "red")
    if not written:
        typer.secho(
            "nothing was written; give it more --steps or --layers, lower the limits, or --force", err=True, fg="red"
        )
        raise typer.Exit(1)
    typer.echo(f"{out}: {len(document['edits'])} edits, revision {document['revision']}")

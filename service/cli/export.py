"""``errata compile``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.terminal.errors import exit_on_error, fail
from service.cli.terminal.options import Home

if TYPE_CHECKING:
    from service.export.report import ExportReport
    from service.export.run import ExportOptions

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
    home: Home = None,
    seed: Annotated[int, typer.Option(help="Which prompts are made, and how training begins.")] = 0,
) -> None:
    """Turn all edits in force into one adapter, or one checkpoint, that needs no scope decision.

    It is judged by free generation before it is written; what falls below the limits is refused with status 1.
    """
    from service.cli.terminal.progress import ProgressDisplay
    from service.export.run import ExportOptions, export_edits
    from service.settings import load_settings

    if json_file and not json_file.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no directory {json_file.absolute().parent} to write the figures in")
    options = ExportOptions(
        out=out,
        merged=merged,
        revision=revision,
        rank=rank,
        steps=steps,
        seconds=seconds,
        rate=rate,
        layers=layers,
        min_efficacy=min_efficacy,
        min_locality=min_locality,
        sample=sample,
        force=force,
        seed=seed,
    )
    with exit_on_error(), ProgressDisplay() as progress:
        report, document = export_edits(options, load_settings(home=home), progress)
    if json_file:
        json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _show(report, document, options)


def _show(report: ExportReport, document: Mapping[str, Any], options: ExportOptions) -> None:
    """The report, and where the result is; ends the command with status 1 where nothing was written."""
    from service.cli.terminal.tables import show

    show("compiled", ("prompts", "service, as wanted", "compiled, as wanted", "begins as wanted"), report.rows())
    written = report.passed or options.force
    for shortfall in report.shortfalls:
        typer.secho(shortfall, err=True, fg="yellow" if written else "red")
    if not written:
        fail("nothing was written; give it more --steps or --layers, lower the limits, or --force")
    typer.echo(f"{options.out}: {len(document['edits'])} edits, revision {document['revision']}")

"""``errata train`` and ``errata evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
Data = Annotated[
    Path, typer.Option(help="Directory with the ParaRel facts and patterns and the NQ-open questions.", exists=True)
]


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the checkpoint goes.")],
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 400,
    batch: Annotated[int, typer.Option(min=1, help="Different edits in one step.")] = 10,
    facts: Annotated[int, typer.Option(min=10, help="Facts to draw training examples from.")] = 1200,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")] = 1e-3,
    workdir: Annotated[Path | None, typer.Option(help="State of the run; an interrupted one goes on there.")] = None,
) -> None:
    """Train an editor and its scope head for the model that is served."""
    from service.training import train_command

    train_command(data, out, facts=facts, workdir=workdir, steps=steps, batch=batch, learning_rate=learning_rate)


@app.command()
def evaluate(
    data: Data,
    edits: Annotated[int, typer.Option(min=1, help="Edits from each of the two sets.")] = 50,
    cumulative: Annotated[bool, typer.Option(help="Leave all edits in force and judge them together.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them into this PNG.")] = None,
    seed: Annotated[int, typer.Option(help="Which facts are drawn.")] = 11,
) -> None:
    """Judge the editor on facts that it was not trained on, by free generation through the service's own path."""
    from service.evaluating import evaluate_command

    evaluate_command(data, edits=edits, cumulative=cumulative, json_file=json_file, image=plot, seed=seed)

"""``errata train`` and ``errata evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
Data = Annotated[
    Path,
    typer.Option(
        help="Directory with the ParaRel facts and patterns and the NQ-open questions; or a file: zsRE, CounterFact, "
        "or JSON lines of input, output, rephrases and locality.",
        exists=True,
    ),
]


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the checkpoint goes.")],
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 1400,
    batch: Annotated[int, typer.Option(min=1, help="Different edits in one step.")] = 10,
    facts: Annotated[
        int, typer.Option(min=10, help="Facts, or records of the file, to draw training examples from.")
    ] = 2400,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")] = 1e-3,
    workdir: Annotated[Path | None, typer.Option(help="State of the run; an interrupted one goes on there.")] = None,
    layers: Annotated[int, typer.Option(min=1, help="How many of the uppermost layers are edited.")] = 3,
    module: Annotated[
        list[str] | None,
        typer.Option(help="Ending of a linear layer's name to edit, repeatable; without it, the feed-forward block's."),
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help="Inner width of the editor network.")] = 256,
    together: Annotated[int, typer.Option(min=1, help="Edits in force at once while they are judged.")] = 1,
) -> None:
    """Train an editor and its scope head for the model that is served."""
    from service.training.editor import train_command

    with _told():
        train_command(
            data,
            out,
            facts=facts,
            workdir=workdir,
            layers=layers,
            modules=module or (),
            steps=steps,
            batch=batch,
            learning_rate=learning_rate,
            rank=rank,
            together=together,
        )


@app.command()
def evaluate(
    data: Data,
    edits: Annotated[int, typer.Option(min=1, help="Edits from each of the two sets.")] = 50,
    cumulative: Annotated[bool, typer.Option(help="Leave all edits in force and judge them together.")] = False,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            help="Other editors to judge beside the service, by themselves: none (no editing at all), fine-tuning, "
            "fine-tuning-kl, mend, malmen, ultraedit. More than once, or separated by commas."
        ),
    ] = None,
    passages: Annotated[int, typer.Option(min=0, help="Wikipedia passages that drift is measured on.")] = 24,
    long_answers: Annotated[int, typer.Option(min=0, help="Edits whose fluency is measured on a long answer.")] = 10,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures here; beside it, every answer. An interrupted run goes on."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them into this PNG, and the relations beside it.")] = None,
    seed: Annotated[int, typer.Option(help="Which facts and passages are drawn.")] = 2026,
) -> None:
    """Judge the editor on facts that it was not trained on, by free generation through the service's own path."""
    from service.evaluation.editing.baselines import BASELINES
    from service.evaluation.editing.run import EvaluationOptions, evaluate_command

    names = tuple(dict.fromkeys(name.strip() for given in baselines or () for name in given.split(",")))
    if unknown := [name for name in names if name not in BASELINES]:
        raise typer.BadParameter(f"there is no baseline {', '.join(unknown)}; there are {', '.join(BASELINES)}")
    choices = EvaluationOptions(edits, cumulative, names, seed, passages, long_answers)
    with _told():
        evaluate_command(data, choices, json_file, plot)


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with the data or the run is told on stderr, in a line, and ends the program with status 1."""
    from editing.errors import DataError, EditorMismatch, EditorTrainingError
    from service.errors import NotReady

    try:
        yield
    except (DataError, EditorMismatch, NotReady, EditorTrainingError) as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(1) from None

"""``errata train-reader`` and ``errata examine-reader``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.train_rag import told

app = typer.Typer()


@app.command("train-reader")
def train_reader(
    questions: Annotated[
        list[Path],
        typer.Argument(help='JSON lines {"question", "answer": […]}, as NQ-open has them; gzip is taken too.'),
    ],
    out: Annotated[Path, typer.Option(help="Where the reader and the state of the run go.")],
    facts: Annotated[
        Path | None, typer.Option(help='JSON lines {"relation", "subject", "object"}, of which questions are made too.')
    ] = None,
    index: Annotated[str | None, typer.Option(help="Version of the index (default: the active one).")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 330,
    batch: Annotated[int, typer.Option(min=1, help="Lessons in a step, each of up to eight questions.")] = 4,
    lr: Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")] = 6e-4,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the LoRA.")] = 16,
    layers: Annotated[int, typer.Option(min=1, help="How many of the uppermost layers it changes.")] = 24,
    seed: Annotated[int, typer.Option(help="Of lessons and factors.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that was interrupted in --out.")] = False,
    home: Annotated[Path | None, typer.Option(help="Where everything is kept (default: ERRATA_HOME).")] = None,
) -> None:
    """Train a LoRA with which the model answers shortly from passages, or says that they do not tell."""
    from retrieval.training.trainer import TrainingConfig
    from service.settings import Settings
    from service.training.reader import ReaderTrainingOptions, train_reader_command

    with told():
        config = TrainingConfig(
            "reading", epochs=1, generator_lr=lr, batch=batch, rank=rank, layers=layers, seed=seed, steps=steps
        )
        inputs = ReaderTrainingOptions(tuple(questions), facts, index)
        train_reader_command(inputs, out, config, Settings(home=home) if home else Settings(), resume)


@app.command("examine-reader")
def examine_reader(
    questions: Annotated[
        list[Path], typer.Argument(help='JSON lines {"question", "answer": […]}, as NQ-open has them.')
    ],
    reader: Annotated[Path | None, typer.Option(help="Its folder (default: the one that the service uses).")] = None,
    parts: Annotated[str, typer.Option(help="Parts of the questions: train, tune and test, by commas.")] = "tune,test",
    sentences: Annotated[
        int | None, typer.Option(min=1, help="Read this many sentences together, not as the card says.")
    ] = None,
    sentences_each: Annotated[
        int | None, typer.Option(min=1, help="Read this many of each passage alone, not as the card says.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Measure thresholds on the part tune, and write them to the card.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Every answer, as JSON lines.")] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Take these answers of an earlier --out instead of asking again.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Where everything is kept (default: ERRATA_HOME).")] = None,
) -> None:
    """Ask a reader questions set aside: how often it is right, and how often it answers what no passage tells."""
    from service.evaluation.reader.run import PARTS, ReaderEvaluationOptions, examine_reader_command
    from service.settings import Settings

    if unknown := [part for part in parts.split(",") if part not in PARTS]:
        raise typer.BadParameter(f"--parts: there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    with told():
        settings = Settings(home=home) if home else Settings()
        chosen = settings.model_copy(update={"reader": str(reader)}) if reader else settings
        named = tuple(part for part in PARTS if part in parts.split(","))
        choices = ReaderEvaluationOptions(named, sentences, sentences_each, write=write, answers=answers)
        examine_reader_command(questions, choices, chosen, out)

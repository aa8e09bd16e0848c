"""``errata train-rag``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer()


class Objective(StrEnum):
    marginal = "marginal"
    contrastive = "contrastive"


class Mode(StrEnum):
    sequence = "sequence"
    token = "token"


class Sides(StrEnum):
    questions = "questions"
    both = "both"


class Freeze(StrEnum):
    nothing = "nothing"
    generator = "generator"
    encoder = "encoder"


_FROZEN: dict[Freeze, Literal["", "generator", "encoder"]] = {
    Freeze.nothing: "",
    Freeze.generator: "generator",
    Freeze.encoder: "encoder",
}
_NEGATIVES = {Sides.questions: 8, Sides.both: 1}
_BATCH = {Objective.contrastive: 32, Objective.marginal: 8}
_LR = {Objective.contrastive: 5e-5, Objective.marginal: 1e-5}


@app.command("train-rag")
def train_rag(
    questions: Annotated[
        Path, typer.Argument(help='JSON lines {"question", "answer": […]}, as NQ-open has them; gzip is taken too.')
    ],
    out: Annotated[Path, typer.Option(help="Where the trained parts, the report and the state of the run go.")],
    objective: Annotated[
        Objective,
        typer.Option(
            help="contrastive: the encoder alone, by positive and hard negative passages (DPR). marginal: question "
            "encoder and generator together on the answer's marginal likelihood (RAG)."
        ),
    ],
    index: Annotated[str | None, typer.Option(help="Version of the index (default: the active one).")] = None,
    mode: Annotated[Mode, typer.Option(help="Which marginal: RAG-Sequence or RAG-Token.")] = Mode.sequence,
    freeze: Annotated[Freeze, typer.Option(help="What the marginal leaves as it is.")] = Freeze.nothing,
    sides: Annotated[
        Sides,
        typer.Option(
            help="What the contrastive objective trains: questions, and every index of the encoder stays good; or both "
            "sides, after which an index has to be built with the new encoder."
        ),
    ] = Sides.questions,
    epochs: Annotated[int, typer.Option(min=1, help="Times that every question is seen.")] = 3,
    lr: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Peak learning rate of the encoder (default: 5e-5 for contrastive; 1e-5 for marginal, where it learns "
            "from a generator that is learning itself).",
        ),
    ] = None,
    generator_lr: Annotated[float, typer.Option(min=0.0, help="Peak learning rate of the generator's LoRA.")] = 1e-3,
    batch: Annotated[
        int, typer.Option(min=0, help="Questions in one step; 0: 32 for contrastive, 8 for marginal.")
    ] = 0,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Passages of which the marginal is taken.")] = 5,
    negatives: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Hard negatives of each question (contrastive; default: 8, whose vectors the index has; 1 with "
            "--sides both, where each is encoded).",
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Passages looked through for positives and negatives.")] = 50,
    temperature: Annotated[float, typer.Option(min=1e-4, help="What inner products are divided by.")] = 0.05,
    adapter: Annotated[
        Path | None, typer.Option(help="A LoRA adapter (PEFT) of the generator, to go on from; else a new one.")
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help="Rank of a new LoRA.")] = 8,
    layers: Annotated[int, typer.Option(min=1, help="How many of the uppermost layers a new LoRA changes.")] = 8,
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the questions that are kept to judge by.")
    ] = 0.2,
    judged: Annotated[
        int,
        typer.Option(
            min=1,
            help="Questions of that share, and of those trained on, that the marginal loss is taken over, at most.",
        ),
    ] = 50,
    seed: Annotated[int, typer.Option(help="Of the division, the order, new factors and dropout.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that was interrupted in --out.")] = False,
    home: Annotated[Path | None, typer.Option(help="Where everything is kept (default: ERRATA_HOME).")] = None,
) -> None:
    """Train the retriever's question encoder, alone or together with the generator, and judge it before and after."""
    from retrieval.training.trainer import TrainingConfig
    from service.settings import Settings
    from service.training.retriever import train_rag_command
    from service.training.retriever_parts import RetrieverTrainingOptions

    with told():
        config = TrainingConfig(
            objective=objective.value,
            mode=mode.value,
            sides=sides.value,
            freeze=_FROZEN[freeze],
            epochs=epochs,
            lr=_LR[objective] if lr is None else lr,
            generator_lr=generator_lr,
            batch=batch or _BATCH[objective],
            k=k,
            negatives=_NEGATIVES[sides] if negatives is None else negatives,
            depth=depth,
            temperature=temperature,
            rank=rank,
            layers=layers,
            held_out=held_out,
            judged=judged,
            seed=seed,
        )
        inputs = RetrieverTrainingOptions(questions, index, adapter)
        train_rag_command(inputs, out, config, Settings(home=home) if home else Settings(), resume)


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with the data or the run is told on stderr, in a line, and ends the program with status 1."""
    from index.errors import IndexingError
    from retrieval.errors import RetrievalError
    from service.errors import ServiceError

    try:
        yield
    except (IndexingError, RetrievalError, ServiceError) as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.secho("interrupted; the same command with --resume goes on from the last checkpoint", err=True, fg="red")
        raise typer.Exit(130) from None

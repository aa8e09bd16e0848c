"""Commands that train: the editor, scope, the retriever and the reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from retrieval.training.config import TrainingConfig
from service.cli.terminal.errors import exit_on_error
from service.cli.terminal.options import ExampleData, Home

app = typer.Typer()
_INTERRUPTED = "interrupted; the same command with --resume goes on from the last checkpoint"


@app.command()
def train(
    data: ExampleData,
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
    """Train an editor for the model that is served."""
    from editing.training.train import EditorTrainingConfig
    from service.cli.terminal.progress import ProgressDisplay
    from service.settings import load_settings
    from service.training.editor import EditorTrainingOptions, train_editor

    with exit_on_error(), ProgressDisplay() as progress:
        config = EditorTrainingConfig(
            steps=steps, batch=batch, learning_rate=learning_rate, rank=rank, together=together
        )
        options = EditorTrainingOptions(data, out, facts, workdir, layers, tuple(module or ()), config)
        train_editor(options, load_settings(), progress)
    typer.echo(f"wrote {out}")


@app.command("train-scope")
def train_scope(
    out: Annotated[Path, typer.Option(help="Where the checkpoint goes.")],
    corrections: Annotated[
        list[Path] | None,
        typer.Option(help="JSON lines of corrections as people write them, or a folder of such; repeatable."),
    ] = None,
    messages: Annotated[
        list[Path] | None,
        typer.Option(
            help="Messages by intent: CSV of text and category, or JSON lines of text and intent; repeatable."
        ),
    ] = None,
    facts: Annotated[Path | None, typer.Option(help="A directory of facts in many wordings.")] = None,
    start: Annotated[
        Path | None, typer.Option(help="A scope model to go on from; without it, the sentence encoder.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 5000,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")] = 1e-4,
) -> None:
    """Train the model that decides which prompts an edit concerns."""
    from editing.training.train_scope import ScopeTrainingConfig
    from service.cli.terminal.progress import ProgressDisplay
    from service.settings import load_settings
    from service.training.scope import ScopeTrainingOptions
    from service.training.scope import train_scope as train

    with exit_on_error(), ProgressDisplay() as progress:
        config = ScopeTrainingConfig(steps=steps, learning_rate=learning_rate)
        options = ScopeTrainingOptions(tuple(corrections or ()), tuple(messages or ()), facts, out, start, config)
        rates = train(options, load_settings(), progress)
    typer.echo(f"wrote {out}")
    typer.echo(json.dumps(rates, indent=2))


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
    generator_lr: Annotated[
        float, typer.Option(min=0.0, help="Peak learning rate of the generator's LoRA.")
    ] = TrainingConfig.generator_lr,
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
    home: Home = None,
) -> None:
    """Train the retriever's question encoder, alone or together with the generator, and judge it before and after."""
    from service.cli.terminal.progress import ProgressDisplay
    from service.settings import load_settings
    from service.training.retriever import REPORT, train_retriever
    from service.training.retriever_parts import RetrieverTrainingOptions

    with exit_on_error(_INTERRUPTED), ProgressDisplay() as progress:
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
        finished = (out / REPORT).is_file()
        report = train_retriever(inputs, out, config, load_settings(home=home), resume, progress)
    if finished:
        typer.echo(f"{out} is finished:")
    _show_report(report, out)


def _show_report(report: Mapping[str, Any], out: Path) -> None:
    """The figures before and after, and what each folder that was written is good for."""
    from service.cli.terminal.tables import show
    from service.training.retriever import USES

    before, after = report["before"], report["after"]
    rows = [(f"recall@{k}", f"{share:.4f}", f"{after['recall'][k]:.4f}") for k, share in before["recall"].items()]
    losses = {"loss": "loss", "trained_loss": "loss, questions trained on"}
    rows += [(losses[name], f"{before[name]:.4f}", f"{after[name]:.4f}") for name in losses if name in before]
    show(f"{before['questions']} questions held out", ("", "before", "after"), rows)
    for name in report["written"]:
        typer.echo(f"wrote {out / name}{USES[name].format(path=out / name)}")


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
    home: Home = None,
) -> None:
    """Train a LoRA with which the model answers shortly from passages, or says that they do not tell."""
    from service.cli.terminal.progress import ProgressDisplay
    from service.cli.terminal.tables import show
    from service.evaluation.reader.run import ReaderEvaluationOptions, evaluate_reader
    from service.settings import load_settings
    from service.training.reader import ReaderTrainingOptions
    from service.training.reader import train_reader as train

    with exit_on_error(_INTERRUPTED), ProgressDisplay() as progress:
        config = TrainingConfig(
            "reading", epochs=1, generator_lr=lr, batch=batch, rank=rank, layers=layers, seed=seed, steps=steps
        )
        inputs = ReaderTrainingOptions(tuple(questions), facts, index)
        folder = train(inputs, out, config, load_settings(home=home), resume, progress)
        measuring, settings = ReaderEvaluationOptions(calibrate=True), load_settings(home=home, reader=str(folder))
        evaluation = evaluate_reader(questions, measuring, settings, progress)
        evaluation.write_card()
    show(*evaluation.table())
    typer.echo(evaluation.thresholds())
    typer.echo(f"{folder} is made; ERRATA_READER={folder} makes the service read with it")

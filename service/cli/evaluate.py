"""Commands that judge: the editor (``evaluate``), answers from passages (``evaluate-rag``), a reader
(``examine-reader``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.terminal.errors import exit_on_error
from service.cli.terminal.options import ExampleData, Home

app = typer.Typer()
_HOW = ("dense", "bm25", "hybrid", "rerank")
_NONE = "none"


@app.command()
def evaluate(
    data: ExampleData,
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
    from service.cli.terminal.progress import ProgressDisplay
    from service.evaluation.editing.baselines import BASELINES
    from service.evaluation.editing.report import tables
    from service.evaluation.editing.run import EvaluationOptions, evaluate_editing

    names = tuple(dict.fromkeys(name.strip() for given in baselines or () for name in given.split(",")))
    if unknown := [name for name in names if name not in BASELINES]:
        raise typer.BadParameter(f"there is no baseline {', '.join(unknown)}; there are {', '.join(BASELINES)}")
    options = EvaluationOptions(
        data=data,
        edits=edits,
        cumulative=cumulative,
        baselines=names,
        seed=seed,
        passages=passages,
        long_answers=long_answers,
        json_file=json_file,
    )
    with exit_on_error():
        with ProgressDisplay(keep=False) as progress:
            evaluation = evaluate_editing(options, progress)
        typer.echo(tables(evaluation.sets))
        evaluation.write(json_file, plot)


@app.command("evaluate-rag")
def evaluate_rag(
    questions: Annotated[
        list[Path],
        typer.Argument(
            help='Files in the form of NQ-open, lines of {"question": "…", "answer": ["…"]}; gzip is unpacked.'
        ),
    ],
    *,
    modes: Annotated[
        str,
        typer.Option(
            help="Ways to answer, of concat, sequence (thorough decoding), sequence-fast, token and closed-book "
            "(without passages); or none."
        ),
    ] = "concat,sequence,token,closed-book",
    how: Annotated[
        str,
        typer.Option(
            help="Kinds of search to measure, of dense, bm25, hybrid and rerank (hybrid, re-ranked); or none."
        ),
    ] = "dense,bm25,hybrid",
    sample: Annotated[int, typer.Option(min=0, help="Draw this many of the questions; 0: all of them.")] = 200,
    seed: Annotated[int, typer.Option(help="Which questions are drawn.")] = 2026,
    k: Annotated[int, typer.Option("-k", "--k", min=1, max=100, help="Passages for each answer.")] = 5,
    max_tokens: Annotated[int, typer.Option(min=1, help="An answer ends after this many tokens.")] = 128,
    edits: Annotated[
        int,
        typer.Option(
            min=0, help="Correct this many of the questions to plausible wrong answers, and ask all of them again."
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Write rag_evaluation.json, plots and every answer here. An interrupted run goes on."),
    ] = None,
) -> None:
    """Judge retrieval and answers on questions whose answers are known, with the official normalisation."""
    from service.cli.terminal.progress import ProgressDisplay
    from service.evaluation.rag.answers import MODES
    from service.evaluation.rag.run import RagEvaluationOptions, write_evaluation
    from service.evaluation.rag.run import evaluate_rag as evaluate_questions

    options = RagEvaluationOptions(
        modes=_listed("--modes", modes, MODES),
        how=_listed("--how", how, _HOW),
        sample=sample,
        seed=seed,
        k=k,
        max_tokens=max_tokens,
        edits=edits,
    )
    with exit_on_error():
        with ProgressDisplay(keep=False) as progress:
            document = evaluate_questions(questions, options, out, progress)
        show_rag_evaluation(document)
        if out:
            write_evaluation(document, out)


def show_rag_evaluation(document: Mapping[str, Any]) -> None:
    """The tables of an evaluation, and what they are of."""
    from service.cli.terminal.tables import show
    from service.evaluation.rag.report import evaluation_tables, remarks

    for table in evaluation_tables(document):
        show(*table)
    for remark in remarks(document):
        typer.echo(remark)


def _listed(option: str, given: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The names, each once; none for ``none``."""
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    if names == (_NONE,):
        return ()
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{option}: there is no {', '.join(unknown)}; there are {', '.join(known)}, or none")
    if not names:
        raise typer.BadParameter(f"{option}: choose of {', '.join(known)}, or say none")
    return names


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
    home: Home = None,
) -> None:
    """Ask a reader questions set aside: how often it is right, and how often it answers what no passage tells."""
    from service.cli.terminal.progress import ProgressDisplay
    from service.cli.terminal.tables import show
    from service.evaluation.reader.run import PARTS, ReaderEvaluationOptions, evaluate_reader
    from service.settings import load_settings

    if unknown := [part for part in parts.split(",") if part not in PARTS]:
        raise typer.BadParameter(f"--parts: there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    options = ReaderEvaluationOptions(
        parts=tuple(part for part in PARTS if part in parts.split(",")),
        sentences=sentences,
        sentences_each=sentences_each,
        calibrate=write,
        answers=answers,
    )
    with exit_on_error():
        with ProgressDisplay() as progress:
            settings = load_settings(home=home, reader=None if reader is None else str(reader))
            evaluation = evaluate_reader(questions, options, settings, progress)
        if out:
            evaluation.write_answers(out)
        if write:
            evaluation.write_card()
    show(*evaluation.table())
    typer.echo(evaluation.thresholds())

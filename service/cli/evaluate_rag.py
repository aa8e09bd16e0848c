"""``errata evaluate-rag``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
_HOW = ("dense", "bm25", "hybrid", "rerank")
_NONE = "none"


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
    from service.evaluation.rag.answers import MODES
    from service.evaluation.rag.run import RagEvaluationOptions, evaluate_rag_command

    choices = RagEvaluationOptions(
        _listed("--modes", modes, MODES), _listed("--how", how, _HOW), sample, seed, k, max_tokens, edits
    )
    with _told():
        evaluate_rag_command(questions, choices, out)


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


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with the questions or the run is told on stderr, in a line, and ends the program with status 1."""
    from editing.errors import EditingError
    from index.errors import IndexingError
    from retrieval.errors import RetrievalError
    from service.engines.model_loader import ModelUnavailable
    from service.errors import ServiceError

    try:
        yield
    except (EditingError, IndexingError, ModelUnavailable, RetrievalError, ServiceError, OSError) as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(1) from None

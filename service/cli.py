"""The command line, ``errata``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service import (
    cli_answers,
    cli_compile,
    cli_edits,
    cli_index,
    cli_log,
    cli_rag,
    cli_rag_training,
    cli_reader,
    cli_training,
)
from service.terminal import LOCAL, AsJson, Url, print_json, server

app = typer.Typer(
    name="errata",
    help="A language model that can be corrected while it runs.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
Home = Annotated[Path | None, typer.Option(help="Where everything is kept (default: ERRATA_HOME).")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen at (default: HOST, or 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port (default: PORT, or 8000).", min=0, max=65535)] = None,
    home: Home = None,
) -> None:
    """Start the server."""
    from service.server import run

    run(host, port, home)


app.add_typer(cli_answers.app)
app.add_typer(cli_edits.app)
app.add_typer(cli_log.app)
app.add_typer(cli_training.app)
app.add_typer(cli_compile.app)
app.add_typer(cli_rag.app)
app.add_typer(cli_rag_training.app)
app.add_typer(cli_reader.app)
app.add_typer(cli_index.app, name="index")


@app.command()
def indexes(*, as_json: AsJson = False, url: Url = LOCAL) -> None:
    """List the versions of the index."""
    from service.tables import show_indexes

    with server(url) as client:
        found = client.get("/indexes")
        print_json(found) if as_json else show_indexes(found["indexes"])

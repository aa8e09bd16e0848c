"""The command line, ``errata``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli import edits, evaluate, export, generate, index, log, train
from service.cli.terminal.options import AsJson, Home, Url, print_json, server

app = typer.Typer(
    name="errata",
    help="A language model that can be corrected while it runs.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen at (default: HOST, or 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port (default: PORT, or 8000).", min=0, max=65535)] = None,
    home: Home = None,
) -> None:
    """Start the server."""
    from service.cli.serve import run

    run(host, port, home)


app.add_typer(generate.app)
app.add_typer(edits.app)
app.add_typer(log.app)
app.add_typer(train.app)
app.add_typer(evaluate.app)
app.add_typer(export.app)
app.add_typer(index.app, name="index")


@app.command()
def indexes(*, as_json: AsJson = False, url: Url = None) -> None:
    """List the versions of the index."""
    from service.cli.terminal.tables import show_indexes

    with server(url) as client:
        found = client.get("/indexes")
        print_json(found) if as_json else show_indexes(found["indexes"])

"""What every command that talks to a server shares: its options, and how answers and problems reach the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from service.client.http import Client

Url = Annotated[str, typer.Option("--url", envvar="ERRATA_URL", help="Address of the server.", show_envvar=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Raw = Annotated[bool, typer.Option("--raw", help="Continue the text as it stands, without the chat template.")]
MaxTokens = Annotated[int, typer.Option(help="Stop after this many tokens.")]
AtRevision = Annotated[int | None, typer.Option(help="Answer as of this revision; 0 is the base model.")]
Edits = Annotated[str, typer.Option(help="active, none, or edit ids separated by commas: exactly these.")]
Whole = Annotated[bool, typer.Option("--no-stream", help="Print the answer at once instead of as it comes.")]
Why = Annotated[str | None, typer.Option(help="Kept in the log.")]
Who = Annotated[str | None, typer.Option(help="Who writes; kept in the log.")]
IfMatch = Annotated[int | None, typer.Option(help="Write only if the head is still this revision.")]

LOCAL = "http://127.0.0.1:8000"


@contextmanager
def server(url: str) -> Iterator[Client]:
    """A client of the server at ``url``; what goes wrong is told on stderr and ends the program with status 1."""
    from service.cli.terminal.tables import show_report
    from service.client.http import Client, ClientError, Refusal

    for stream in (sys.stdout, sys.stderr):  # a text that the terminal cannot show is no reason to fail
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    try:
        with Client(url) as client:
            yield client
    except Refusal as refusal:
        typer.secho(str(refusal), err=True, fg="red")
        for error in refusal.problem.get("errors", []):
            typer.echo(f"  {error.get('field')}: {error.get('message')}", err=True)
        if "report" in refusal.problem:
            show_report(refusal.problem["report"], stderr=True)
        raise typer.Exit(1) from None
    except ClientError as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(1) from None


def print_json(document: Mapping[str, Any]) -> None:
    """For machines: one document, in ASCII when the terminal is."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=encoding not in ("utf-8", "utf8")))


def chosen(edits: str) -> str | list[str]:
    """The contract's form of ``--edits``."""
    return edits if edits in ("active", "none") else [name.strip() for name in edits.split(",")]

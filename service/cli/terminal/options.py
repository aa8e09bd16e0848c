"""What commands share: their options, the server that they ask, and JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.terminal.errors import FAILED, exit_on_error, fail

if TYPE_CHECKING:
    from service.client.errors import Refusal
    from service.client.http import Client

Home = Annotated[Path | None, typer.Option(help="Where everything is kept (default: ERRATA_HOME).")]
ExampleData = Annotated[
    Path,
    typer.Option(
        help="Directory with the ParaRel facts and patterns and the NQ-open questions; or a file: zsRE, CounterFact, "
        "or JSON lines of input, output, rephrases and locality.",
        exists=True,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="ERRATA_URL",
        help="Address of the server (default: HOST and PORT, or http://127.0.0.1:8000).",
        show_envvar=True,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Raw = Annotated[bool, typer.Option("--raw", help="Continue the text as it stands, without the chat template.")]
MaxTokens = Annotated[int, typer.Option(help="Stop after this many tokens.")]
AtRevision = Annotated[int | None, typer.Option(help="Answer as of this revision; 0 is the base model.")]
Edits = Annotated[str, typer.Option(help="active, none, or edit ids separated by commas: exactly these.")]
Whole = Annotated[bool, typer.Option("--no-stream", help="Print the answer at once instead of as it comes.")]
Why = Annotated[str | None, typer.Option(help="Kept in the log.")]
Who = Annotated[str | None, typer.Option(help="Who writes; kept in the log.")]
IfMatch = Annotated[int | None, typer.Option(help="Write only if the head is still this revision.")]


@contextmanager
def server(url: str | None) -> Iterator[Client]:
    """A client of the server at ``url``, or of the one that the environment names.

    What goes wrong, a refusal of the server too, ends the command, see ``exit_on_error``.
    """
    from service.client.errors import ClientError, Refusal
    from service.client.http import Client
    from service.settings import server_url

    for stream in (sys.stdout, sys.stderr):  # a text that the terminal cannot show is no reason to fail
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    with exit_on_error():
        try:
            with Client(server_url() if url is None else url) as client:
                yield client
        except Refusal as refusal:
            _show_refusal(refusal)
            raise typer.Exit(FAILED) from None
        except ClientError as error:
            fail(str(error))


def _show_refusal(refusal: Refusal) -> None:
    """The problem document in words: title and detail, the fields, and the report of a failed check."""
    from service.cli.terminal.tables import show_report

    typer.secho(str(refusal), err=True, fg="red")
    for error in refusal.problem.get("errors", []):
        typer.echo(f"  {error.get('field')}: {error.get('message')}", err=True)
    if "report" in refusal.problem:
        show_report(refusal.problem["report"], stderr=True)


def writer_headers(actor: str | None, if_match: int | None, idempotency_key: str | None = None) -> dict[str, str]:
    """The headers of a request that writes; those that are not given are left out."""
    tag = None if if_match is None else f'"{if_match}"'
    given = {"X-Actor": actor, "If-Match": tag, "Idempotency-Key": idempotency_key}
    return {name: value for name, value in given.items() if value is not None}


def print_json(document: Mapping[str, Any]) -> None:
    """For machines: one document, in ASCII when the terminal is."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=encoding not in ("utf-8", "utf8")))


def edit_choice(edits: str) -> str | list[str]:
    """The contract's form of ``--edits``."""
    return edits if edits in ("active", "none") else [name.strip() for name in edits.split(",")]

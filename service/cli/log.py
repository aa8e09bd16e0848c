"""Commands about the log: show it, verify it, export it, check an export offline, erase texts from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.terminal.errors import fail
from service.cli.terminal.options import AsJson, IfMatch, Url, Who, Why, print_json, server, writer_headers

app = typer.Typer()
log = typer.Typer(help="Show the ledger's events, in order; or export them, or check an export.")
Size = Annotated[int | None, typer.Option(min=0, help="Number of events when a root was noted down; with --root.")]
Root = Annotated[str | None, typer.Option(metavar="HASH", help="The root that was noted down; with --size.")]
LINES = 1000  # events between two lines of progress


@log.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    *,
    after: Annotated[int, typer.Option(help="Events after this one.")] = 0,
    limit: Annotated[int, typer.Option(help="How many.")] = 100,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show the ledger's events, in order; or export them, or check an export."""
    from service.cli.terminal.tables import show_events

    if context.invoked_subcommand is not None:
        return
    with server(url) as client:
        part = client.get("/log", {"after": after, "limit": limit})
        print_json(part) if as_json else show_events(part["events"])
        if part["next_after"] is not None and not as_json:
            typer.echo(f"more: errata log --after {part['next_after']} --limit {limit}")


@log.command()
def export(
    target: Annotated[str, typer.Argument(metavar="FILE", help="A new file; - is stdout.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    url: Url = None,
) -> None:
    """Write the whole log to a file that anybody can check without the service."""
    from editing.errors import CorruptLedger
    from service.client.log_export import TargetRefused, export_log

    def progress(read: int, total: int) -> None:
        if total > LINES:
            typer.echo(f"read {read} of {max(read, total)} events", err=True)

    with server(url) as client:
        try:
            audit = export_log(client, None if target == "-" else Path(target), progress, force)
        except CorruptLedger as error:
            fail(f"The log is damaged: {error}. Nothing was written.")
        except (TargetRefused, OSError) as error:
            fail(f"Nothing was written: {error}")
    typer.echo(f"{audit.events} events, root {audit.tree.root().hex()}", err=True)


@log.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An exported log; - is stdin.")],
    *,
    root: Root = None,
    size: Size = None,
    as_json: AsJson = False,
) -> None:
    """Check an exported log: canonical form, chain, Merkle root, and a root noted down earlier. Needs no service."""
    from editing.errors import CorruptLogFile

    expected = _noted(root, size)
    found: dict[str, Any]
    try:
        found = _checked(file, *expected) if expected else _checked(file)
    except CorruptLogFile as error:
        found = {"ok": False, "line": error.line, "why": str(error)}
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror or error}")
    if as_json:
        print_json(found)
    elif found["ok"]:
        typer.secho(f"{found['events']} events, all whole; root {found['root_hash']}", fg="green")
        if expected:
            typer.secho(f"The log begins with the {size} events of root {root}.", fg="green")
    else:
        typer.secho(f"{file} does not verify: {found['why']}", err=True, fg="red")
    if not found["ok"]:
        raise typer.Exit(1)


def _checked(file: str, noted_size: int | None = None, noted_root: str = "") -> dict[str, Any]:
    from editing.ledger.log_file import check_log_file
    from editing.ledger.merkle import departs

    if file == "-":
        audit = check_log_file(sys.stdin.buffer)
    else:
        with Path(file).open("rb") as stream:
            audit = check_log_file(stream)
    why = None if noted_size is None else departs(audit.tree, noted_size, noted_root)
    found = {"events": audit.events, "root_hash": audit.tree.root().hex(), "head_hash": audit.head_hash}
    return {"ok": why is None, **found} | ({"why": why} if why else {})


def _noted(root: str | None, size: int | None) -> tuple[int, str] | None:
    """Both or none."""
    if (root is None) != (size is None):
        raise typer.BadParameter("give both --root and --size, or none of them")
    return None if root is None or size is None else (size, root)


@app.command()
def verify(
    *,
    edits: Annotated[bool, typer.Option("--edits", help="Ask all edits in force again, by free generation.")] = False,
    root: Root = None,
    size: Size = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Check the log's hash chain, the factor files and a root noted down earlier. Status 1 when something is wrong."""
    if edits:
        from service.cli.jobs import verify_edits

        verify_edits(url, as_json)
        return
    noted = {"tree_size": size, "root_hash": root} if _noted(root, size) else {}
    with server(url) as client:
        found = client.get("/log/verify", noted)
        if as_json:
            print_json(found)
        elif found["ok"]:
            typer.secho(f"{found['events']} events, all whole; head {found['head_hash']}", fg="green")
            if found.get("merkle_root"):
                typer.echo(f"root {found['merkle_root']}: note it down with the number of events, to compare later")
        else:
            where = f"event {found.get('first_bad_seq')}: " if found.get("first_bad_seq") is not None else ""
            typer.secho(f"The log is damaged. {where}{found.get('why')}", err=True, fg="red")
            for damage in found.get("damaged", []):
                typer.echo(f"  {damage['edit_id']} (event {damage['seq']}): {damage['why']}", err=True)
    if not found["ok"]:
        raise typer.Exit(1)


@app.command()
def redact(
    edit_id: Annotated[str, typer.Argument(help="An edit that was rolled back.")],
    *,
    reason: Why = None,
    actor: Who = None,
    if_match: IfMatch = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Erase the texts of an edit that was rolled back, for good. The log goes on to verify."""
    with server(url) as client:
        done = client.post("/redact", {"edit_id": edit_id, "reason": reason}, writer_headers(actor, if_match))
        print_json(done) if as_json else typer.echo(f"revision {done['revision']}: erased the texts of {edit_id}")


app.add_typer(log, name="log")

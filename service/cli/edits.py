"""Commands that correct the model and show the corrections: edit, rollback, edits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.terminal.options import AsJson, IfMatch, Raw, Url, Who, Why, print_json, server, writer_headers

app = typer.Typer()


@app.command()
def edit(
    question: Annotated[
        str | None, typer.Argument(metavar="[INPUT]", help="The question as a user types it.", show_default=False)
    ] = None,
    output: Annotated[str | None, typer.Argument(help="The answer it should have had.", show_default=False)] = None,
    *,
    file: Annotated[
        str | None,
        typer.Option(
            help="Many at once: JSON lines or CSV of input, output, and what else POST /edit takes; - reads stdin. "
            "Interrupted and started again, it goes on where it was."
        ),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="What became of each line of the file (default: beside it, ….results.jsonl).")
    ] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Go on without broken lines of the file.")] = False,
    chunk: Annotated[int, typer.Option(min=1, max=1000, help="Lines of the file in one request.")] = 32,
    patience: Annotated[
        float, typer.Option(min=0.0, help="Seconds to try again without progress when the server is gone or full.")
    ] = 600.0,
    rephrase: Annotated[list[str] | None, typer.Option(help="Another wording; may be repeated.")] = None,
    locality: Annotated[list[str] | None, typer.Option(help="A prompt that must not change; may be repeated.")] = None,
    scope: Annotated[
        str, typer.Option(help="matched: prompts that ask the same thing; global: every prompt.")
    ] = "matched",
    raw: Raw = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute and report, record nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Record it even if the checks fail.")] = False,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key with the same edit is done once.")] = None,
    reason: Why = None,
    actor: Who = None,
    if_match: IfMatch = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Correct the model: INPUT shall be answered with OUTPUT; or with --file, all lines of a file."""
    if file is not None:
        if question or output or rephrase or locality or raw or scope != "matched" or if_match is not None:
            raise typer.BadParameter(
                "what is corrected, and how it is asked, stands in the file's lines", param_hint="--file"
            )
        from service.cli.edit_file import EditFileOptions, edit_file
        from service.client.uploader import UploadOptions

        upload = UploadOptions(chunk, patience, actor, idempotency_key or "", dry_run)
        defaults = {"force": force, "dry_run": dry_run, "reason": reason, "key": upload.key}
        edit_file(EditFileOptions(file, upload, defaults, results, skip_broken, as_json), url)
        return
    if question is None or output is None:
        raise typer.BadParameter("give INPUT and OUTPUT, or --file")
    from service.cli.terminal.tables import show_edit

    body = {"input": question, "output": output, "rephrases": rephrase or [], "locality": locality or []}
    options = {"scope": scope, "raw": raw, "dry_run": dry_run, "force": force, "reason": reason}
    headers = writer_headers(actor, if_match, idempotency_key)
    with server(url) as client:
        result = client.post("/edit", {**body, **options}, headers)
        print_json(result) if as_json else show_edit(result)


@app.command()
def rollback(
    edit_id: Annotated[str | None, typer.Argument(help="The edit to take back.")] = None,
    *,
    to_revision: Annotated[int | None, typer.Option(help="Return to the state as of this revision.")] = None,
    reason: Why = None,
    actor: Who = None,
    if_match: IfMatch = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Take back one edit, or everything after a revision."""
    body = {"edit_id": edit_id, "to_revision": to_revision, "reason": reason}
    with server(url) as client:
        done = client.post("/rollback", body, writer_headers(actor, if_match))
        if as_json:
            print_json(done)
            return
        typer.echo(f"revision {done['revision']}: took back {', '.join(done['rolled_back']) or 'nothing'}")
        typer.echo(f"active: {', '.join(done['active']) or 'none'}")


@app.command()
def amend(
    edit_id: Annotated[str, typer.Argument(help="The edit that gets further wordings.")],
    *,
    rephrase: Annotated[list[str] | None, typer.Option(help="A prompt that it missed; may be repeated.")] = None,
    locality: Annotated[list[str] | None, typer.Option(help="A prompt to leave alone; may be repeated.")] = None,
    reason: Why = None,
    actor: Who = None,
    if_match: IfMatch = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Add wordings to an edit: prompts that it missed, or that it should leave alone."""
    from urllib.parse import quote

    from service.cli.terminal.tables import show_edit

    body = {"add_rephrases": rephrase or [], "add_locality": locality or [], "reason": reason}
    with server(url) as client:
        path = f"/edits/{quote(edit_id, safe='', errors='replace')}"
        one = client.patch(path, body, writer_headers(actor, if_match))
        print_json(one) if as_json else show_edit(one)


@app.command()
def match(
    prompts: Annotated[list[str], typer.Argument(help="Prompts as users type them.")],
    *,
    k: Annotated[int, typer.Option("-k", "--k", min=1, max=8, help="How many edits are shown for each.")] = 5,
    revision: Annotated[int | None, typer.Option(help="As of this revision.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Say which edits a prompt concerns, and what spoke for and against each."""
    from service.cli.terminal.tables import show_matches

    with server(url) as client:
        found = client.post("/edits/match", {"prompts": prompts, "k": k, "revision": revision})
        print_json(found) if as_json else show_matches(prompts, found)


@app.command()
def edits(
    edit_id: Annotated[str | None, typer.Argument(help="Show this one with its report and events.")] = None,
    *,
    status: Annotated[str, typer.Option(help="active, rolled_back, superseded or all.")] = "active",
    limit: Annotated[int, typer.Option(help="How many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List edits, or show one."""
    from urllib.parse import quote

    from service.cli.terminal.tables import show_edit, show_edits

    with server(url) as client:
        if edit_id is not None:
            one = client.get(f"/edits/{quote(edit_id, safe='', errors='replace')}")
            print_json(one) if as_json else show_edit(one)
            return
        page = client.get("/edits", {"status": status, "limit": limit, "cursor": cursor})
        print_json(page) if as_json else show_edits(page)
        if page["next_cursor"] and not as_json:
            typer.echo(f"more: errata edits --status {status} --limit {limit} --cursor {page['next_cursor']}")

"""``errata verify --edits``: starts the job that verifies all edits again, follows it, and prints what it found."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import typer

from service.cli.terminal.errors import INTERRUPTED, fail
from service.cli.terminal.options import print_json, server
from service.cli.terminal.progress import ProgressDisplay
from service.cli.terminal.tables import show
from service.client.errors import ClientError, Document, Refusal
from service.client.http import Client

PAUSE = 0.5  # seconds between two looks


def verify_edits(url: str | None, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """Status 1 when an edit does not hold, or the job does not end well. Ctrl-C cancels the job that was started here,
    but not one that was running already."""
    with server(url) as client:
        job, own = _started(client)
        try:
            job = follow(client, job, sleep)
        except KeyboardInterrupt:
            if own:
                with suppress(ClientError):
                    client.delete(f"/jobs/{job['id']}")
            fail("cancelled" if own else f"job {job['id']} goes on", INTERRUPTED)
        print_json(job) if as_json else _show(job)
    if job["status"] != "done" or job["failing"]:
        raise typer.Exit(1)


def _started(client: Client) -> tuple[Document, bool]:
    """The job, and whether it was started here."""
    try:
        return client.post("/jobs", {"kind": "verify"}), True
    except Refusal as refusal:
        running = refusal.problem.get("job")
        if running is None:
            raise
        typer.echo(f"following the job {running}, which is running already", err=True)
        return client.get(f"/jobs/{running}"), False


def follow(client: Client, job: Document, sleep: Callable[[float], None]) -> Document:
    """The job as it ended."""
    with (
        ProgressDisplay(keep=False) as progress,
        progress.stage("verifying", job["total"], "edits", job["done"]) as stage,
    ):
        while job["status"] == "running":
            sleep(PAUSE)
            job = client.get(f"/jobs/{job['id']}")
            stage.update(job["done"], note=f"{len(job['failing'])} failing")
    return job


def _show(job: Document) -> None:
    failing = job["failing"]
    if failing:
        names = ("edit_id", "input", "wanted", "answer", "why")
        show("Edits that do not hold", ("edit", *names[1:]), [[one[name] for name in names] for one in failing])
    checked = f"{job['done']} of {job['total']} edits in force at revision {job['revision']} were asked"
    if job["status"] != "done":
        typer.secho(f"{checked}; the job {job['status']}: {job['error'] or 'by request'}", err=True, fg="red")
    elif not failing:
        typer.secho(f"{checked}; all hold", fg="green")
    else:
        typer.secho(f"{checked}; {len(failing)} do not hold", err=True, fg="red")

"""``errata verify --edits``: the job is started, followed and told; Ctrl-C cancels it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from service.cli.jobs import verify_edits
from service.cli.main import app as command_line
from service.jobs import CancellationToken, Jobs

FINDING = {"edit_id": "ed_1", "input": "[q]?", "wanted": "y", "answer": "z", "match": "no", "why": "another"}


class Task:
    """Finds what it was given, or runs until it is cancelled."""

    revision, total = 4, 3

    def __init__(self, found: list[dict[str, Any]] | None) -> None:
        self.found = found

    def run(self, watch: CancellationToken) -> None:
        while self.found is None:
            watch.wait(0.01)
        watch.tell(3, self.found)


@pytest.fixture
def found() -> list[list[dict[str, Any]] | None]:
    """What the next jobs find; None runs for ever."""
    return []


@pytest.fixture
def jobs(listening: tuple[FastAPI, str], url: str, found: list[Any]) -> Iterator[Jobs]:
    with Jobs({"verify": lambda: Task(found.pop(0))}) as jobs:
        listening[0].state.jobs = jobs
        yield jobs


@pytest.fixture
def verify(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("ERRATA_URL", url)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("service.cli.jobs.PAUSE", 0.01)
    return lambda *arguments: CliRunner().invoke(command_line, ["verify", "--edits", *arguments])


def test_edits_that_hold_and_edits_that_do_not(verify: Callable[..., Result], jobs: Jobs, found: list[Any]) -> None:
    """A table of the failing ones and status 1; as JSON the job itself."""
    found += [[], [FINDING], [FINDING]]
    result = verify()
    assert (result.exit_code, "3 of 3 edits in force at revision 4 were asked; all hold" in result.stdout) == (0, True)
    result = verify()
    assert result.exit_code == 1 and "1 do not hold" in result.stderr
    for said in ("ed_1", "[q]?", "another"):
        assert said in result.stdout
    result = verify("--json")
    assert (result.exit_code, json.loads(result.stdout)["failing"]) == (1, [FINDING])


def test_a_job_that_fails_is_no_success(verify: Callable[..., Result], jobs: Jobs, found: list[Any]) -> None:
    """Nothing was found, but not everything was asked."""
    found.append("nonsense")
    jobs._tasks = {"verify": lambda: Broken([])}
    result = verify()
    assert result.exit_code == 1 and "the disk is gone" in result.stderr


class Broken(Task):
    def run(self, watch: CancellationToken) -> None:
        raise OSError("the disk is gone")


def test_ctrl_c_cancels_the_job_that_was_started_here_and_no_other(
    verify: Callable[..., Result], jobs: Jobs, found: list[Any], url: str
) -> None:
    """A job that ran before is followed, and goes on."""

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    found += [None, None]
    with pytest.raises(typer.Exit) as ended:
        verify_edits(url, as_json=False, sleep=pressed)
    assert ended.value.exit_code == 130
    assert jobs.list()[0].status == "cancelled"
    other = jobs.start("verify")
    with pytest.raises(typer.Exit):
        verify_edits(url, as_json=False, sleep=pressed)
    assert jobs.get(other.id).status == "running"

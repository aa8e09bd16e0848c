"""``errata log export | check``, ``verify`` and ``redact`` against a real server, some with a real ledger behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

import service
from editing.ledger.events import Draft
from editing.ledger.ledger import Ledger
from editing.ledger.log_file import event_json
from service.cli.main import app
from service.edits.log_proofs import LogTree
from service.types.edits import Event
from service.types.log import LogRoot
from tests.service.fakes import EDIT, FakeService

Errata = Callable[..., Result]
ROOT = "0" * 64


class Kept(FakeService):
    """The log is a real one."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger, self.tree = ledger, LogTree(ledger)

    def log(self, after: int, limit: int) -> Sequence[Event]:
        return [event_json(event) for event in self.ledger.events(after, limit)]

    def log_root(self, tree_size: int | None = None) -> LogRoot:
        return self.tree.root(tree_size)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        for seq in range(3):
            ledger.append(
                Draft("apply", edit_id=f"ed_{seq}", request={"input": "Österreich?"}, report={"ms": 1.5}), seq
            )
        ledger.append(Draft("redact", edit_id="ed_1"), 3)
        yield ledger


@pytest.fixture
def errata(url: str, monkeypatch: pytest.MonkeyPatch) -> Errata:
    monkeypatch.setenv("ERRATA_URL", url)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments, **more: CliRunner().invoke(app, [*arguments], **more)


@pytest.fixture
def kept(listening: tuple[FastAPI, str], errata: Errata, ledger: Ledger) -> Kept:
    listening[0].state.service = kept = Kept(ledger)
    return kept


def test_an_export_is_checked_offline(errata: Errata, kept: Kept, tmp_path: Path) -> None:
    """In a file and through a pipe; the root is the server's, and an earlier one is compared with."""
    target, noted = tmp_path / "log.jsonl", kept.log_root(2).root_hash
    done = errata("log", "export", str(target))
    assert done.exit_code == 0, done.output
    assert kept.log_root().root_hash in done.stderr
    assert errata("log", "export", "-").stdout_bytes == target.read_bytes()
    assert "4 events, all whole" in errata("log", "check", str(target)).stdout
    piped = errata("log", "check", "-", "--json", "--size", "2", "--root", noted.upper(), input=target.read_bytes())
    assert json.loads(piped.stdout) == {
        "ok": True,
        "events": 4,
        "root_hash": kept.log_root().root_hash,
        "head_hash": kept.log_root().head_hash,
    }
    assert [p.name for p in tmp_path.glob("*log.jsonl*")] == ["log.jsonl"]


def test_checking_needs_neither_service_nor_model(errata: Errata, kept: Kept, tmp_path: Path) -> None:
    """No server at the address, no torch in the process."""
    errata("log", "export", str(tmp_path / "log"))
    script = (
        "import sys; from service.cli.main import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    )
    command = [sys.executable, "-c", script, "log", "check", str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(service.__file__).parents[1], check=True)
    said, modules = done.stdout.splitlines()
    assert "4 events, all whole" in said
    assert not {"torch", "transformers", "sqlalchemy", "fastapi", "httpx", "faiss"} & set(modules.split())


@pytest.mark.parametrize("as_json", [False, True])
def test_a_bad_file_is_told_with_its_line_and_status_1(
    errata: Errata, kept: Kept, tmp_path: Path, as_json: bool
) -> None:
    """Cut off, not there, a directory, or not the log that was noted down."""
    target, options = tmp_path / "log", ["--json"] if as_json else []
    errata("log", "export", str(target))
    noted = errata("log", "check", str(target), "--size", "9", "--root", ROOT, *options)
    target.write_bytes(target.read_bytes()[:-9])
    cut = errata("log", "check", str(target), *options)
    assert "line 5 is cut off" in cut.output and "its end is missing" in noted.output
    assert [cut.exit_code, noted.exit_code] == [1, 1]
    for absent in (tmp_path / "no", tmp_path):
        assert "cannot be read" in (done := errata("log", "check", str(absent))).stderr
        assert done.exit_code == 1


@pytest.mark.parametrize("command", [["verify"], ["log", "check", "x"]])
def test_a_root_goes_with_its_size(errata: Errata, command: list[str]) -> None:
    """One without the other is a mistake in the command line."""
    for half in (["--size", "2"], ["--root", ROOT]):
        done = errata(*command, *half)
        assert done.exit_code == 2 and "--root and --size" in done.stderr


def test_nothing_is_written_over(errata: Errata, kept: Kept, tmp_path: Path) -> None:
    """A file with content stays unless told otherwise; an empty one is filled; what is no place for a file is named."""
    target = tmp_path / "log"
    target.touch()
    assert errata("log", "export", str(target)).exit_code == 0
    before = target.read_bytes()
    kept.ledger.append(Draft("restore", to=0), 4)
    done = errata("log", "export", str(target))
    assert done.exit_code == 1 and "--force" in done.stderr and target.read_bytes() == before
    assert errata("log", "export", str(target), "--force").exit_code == 0 and target.read_bytes() != before
    for wrong, why in (
        (tmp_path, "is no file"),
        (tmp_path / "no" / "log", "no directory"),
        (Path("/dev/null"), "no file"),
    ):
        done = errata("log", "export", str(wrong))
        assert done.exit_code == 1 and why in done.stderr


def test_a_damaged_log_is_not_exported(errata: Errata, kept: Kept, tmp_path: Path) -> None:
    """The event is named, and no file appears."""
    whole = kept.log
    kept.log = lambda after, limit: [{**e, "actor": "x"} if e["seq"] == 3 else e for e in whole(after, limit)]  # type: ignore[method-assign]
    done = errata("log", "export", str(tmp_path / "log"))
    assert done.exit_code == 1 and "event 3" in done.stderr
    assert not (tmp_path / "log").exists()


def test_a_redaction_while_the_log_is_read_is_exported_with_it(errata: Errata, kept: Kept, tmp_path: Path) -> None:
    """Whoever sees erased texts reads on to the event that erased them, also past the end that the log had."""
    whole = kept.log

    def paged(after: int, limit: int) -> Sequence[Event]:
        if after == 0:
            kept.ledger.append(Draft("redact", edit_id="ed_0"), 4)
        return whole(after, limit)

    kept.log = paged  # type: ignore[method-assign]
    assert errata("log", "export", str(tmp_path / "log")).exit_code == 0
    assert "5 events, all whole" in errata("log", "check", str(tmp_path / "log")).stdout


def test_long_logs_tell_how_far_they_are(
    errata: Errata, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr, so that stdout stays the log."""
    monkeypatch.setattr("service.cli.log.LINES", 1)
    monkeypatch.setattr("service.client.log_export.PAGE", 2)
    done = errata("log", "export", "-")
    assert "read 2 of 4 events" in done.stderr and "read" not in done.stdout


def test_the_list_is_as_before(errata: Errata, kept: Kept) -> None:
    """``errata log`` with and without options."""
    assert "redact" in errata("log").stdout
    assert [e["seq"] for e in json.loads(errata("log", "--after", "2", "--json").stdout)["events"]] == [3, 4]


def test_verify_compares_with_a_noted_root(errata: Errata, service: FakeService) -> None:
    """Size and root reach the server."""
    assert errata("verify", "--size", "3", "--root", ROOT).exit_code == 0
    noted = service.calls[-1][1]
    assert (noted.tree_size, noted.root_hash) == (3, ROOT)


def test_redact(errata: Errata, service: FakeService) -> None:
    """Reason, actor and head go along; a refusal is status 1."""
    done = errata("redact", EDIT, "--reason", "request 17", "--actor", "dpo", "--if-match", "5")
    assert (done.exit_code, done.stdout) == (0, f"revision 6: erased the texts of {EDIT}\n")
    assert service.calls == [("redact", EDIT, "dpo", "request 17", 5)]
    assert json.loads(errata("redact", EDIT, "--json").stdout)["redacted"] is True
    refused = errata("redact", "ed_active")
    assert refused.exit_code == 1 and "roll it back first" in refused.stderr

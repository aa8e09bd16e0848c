"""The README says what is so."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from service.api.schemas.requests import AskBody, EditBody, GenerateRequest, RollbackBody
from service.cli.main import app
from service.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BODIES = {"/generate": GenerateRequest, "/edit": EditBody, "/rollback": RollbackBody, "/ask": AskBody}


def curls() -> list[list[str]]:
    return [shlex.split(line[2:]) for line in README.splitlines() if line.startswith("$ curl ")]


def test_there_is_a_first_page_with_real_output() -> None:
    """A newcomer sees asking, correcting, the log and rolling back before anything else."""
    paths = [next(w for w in words if w.startswith("localhost")).removeprefix("localhost:8000") for words in curls()]
    for path in ("/generate", "/edit", "/log", "/log/verify", "/rollback", "/ask"):
        assert path in paths


@pytest.mark.parametrize("words", [words for words in curls() if "--json" in words], ids=lambda words: words[2])
def test_every_body_in_the_readme_is_a_valid_request(words: list[str]) -> None:
    """What the README posts is what the schemas take."""
    path = next(w for w in words if w.startswith("localhost")).removeprefix("localhost:8000")
    BODIES[path].model_validate_json(words[words.index("--json") + 1])


def test_the_first_page_shows_the_correction_hold_and_go() -> None:
    """The corrected answer stands after the edit and the old one after the rollback."""
    lines = README.splitlines()
    answers = [json.loads(lines[n + 1])["text"] for n, line in enumerate(lines) if "/generate --json" in line]
    assert answers[0] != answers[1], "the edit changed nothing"
    assert answers[0] == answers[-1], "the rollback did not bring the old answer back"


def test_every_setting_is_documented() -> None:
    """Each field of Settings stands in the table, and the table names no other."""
    documented = set(re.findall(r"^\| `(?:ERRATA_(\w+)`|(HOST)`, `(PORT)`)", README, re.MULTILINE))
    names = {name.lower() for found in documented for name in found if name}
    assert names == set(Settings.model_fields)


def test_every_command_is_documented() -> None:
    """The README lists the commands of ``errata``."""
    import typer.main

    listed = README[README.index("`errata serve") : README.index("each with `--help`")]
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert name in listed


def test_every_make_target_exists() -> None:
    """``make …`` in the README can be typed."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

"""README and docs say what is so."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from service.api.schemas.requests import AskBody, EditBody, GenerateRequest, RollbackBody
from service.cli.main import app
from service.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BODIES: dict[str, type[BaseModel]] = {
    "/generate": GenerateRequest,
    "/edit": EditBody,
    "/rollback": RollbackBody,
    "/ask": AskBody,
}
PACKAGES = "errata|service|editing|retrieval|index|tests|benchmarks"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("*/pretrained/*/MODEL_CARD.md")),
]
EXPECTED = {"guide", "corrections", "answers", "indexing", "audit", "benchmarks", "settings", "architecture"}


def pages() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def curls() -> list[list[str]]:
    return [shlex.split(line[2:]) for line in README.splitlines() if line.startswith("$ curl ")]


def subcommands(command: Any) -> dict[str, Any]:
    """By name; typer brings a click of its own, so its groups are known by what they have."""
    return getattr(command, "commands", {})


def command_named(words: list[str]) -> tuple[Any, list[str]]:
    """The command of ``errata`` that the words begin with, and the words behind its name."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in subcommands(command):
        command, words = subcommands(command)[words[0]], words[1:]
    return command, words


def errata_commands(text: str) -> Iterator[list[str]]:
    """Lines of consoles and words in backquotes that call ``errata``, cut at a pipe or comment."""
    texts = [*re.findall(r"^\$ (?:\w+=\S+ )*(errata .*)$", text, re.M), *re.findall(r"`(errata [^`|]*)`", text)]
    for line in texts:
        words = re.sub(r"\s+", " ", line.split(" #")[0].split("…")[0]).replace("'", "").replace('"', "").split()
        yield words[1:]


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


def test_the_readme_is_one_page() -> None:
    """At most 9 kB; the rest stands in docs/, all of which it leads to."""
    assert len(README.encode()) <= 9000
    assert {page.stem for page in PAGES if page.parent.name == "docs"} == EXPECTED
    assert all(f"(docs/{name}.md)" in README for name in EXPECTED)


def test_every_setting_is_documented() -> None:
    """Each field of Settings stands in the table, and the table names no other."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(?:ERRATA_(\w+)`|(HOST)`, `(PORT)`)", text, re.MULTILINE))
    names = {name.lower() for found in documented for name in found if name}
    assert names == set(Settings.model_fields)


def test_every_command_is_documented() -> None:
    """The guide lists the commands of ``errata``."""
    text = re.sub(r"\s+", " ", (ROOT / "docs" / "guide.md").read_text(encoding="utf-8"))
    listed = text[text.index("`errata serve") : text.index("each with `--help`")]
    names = subcommands(typer.main.get_command(app))
    assert names
    assert [name for name in names if not re.search(rf"\b{name}\b", listed)] == []


@pages()
def test_every_errata_command_can_be_typed(page: Path) -> None:
    """Its name and its options exist."""
    for words in errata_commands(page.read_text(encoding="utf-8")):
        command, rest = command_named(words)
        assert not subcommands(command) or rest[:1] in ([], ["--help"]), words
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        assert [w for w in rest if w.startswith("-") and len(w) > 1 and w not in {*known, "--help"}] == [], words


@pages()
def test_every_module_that_is_started_exists(page: Path) -> None:
    """``python -m …``."""
    named = re.findall(rf"python -m\s+((?:{PACKAGES})[\w.]*\w)", page.read_text(encoding="utf-8"))
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


@pages()
def test_every_path_exists(page: Path) -> None:
    """Files and folders of the packages, and links to other pages."""
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":
        text = text[: text.index("## [0.1.0]")]  # what was released names the files of its time
    named = re.findall(rf"(?<![\w/.])((?:{PACKAGES}|docs)/[\w/.-]*\w)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pages()
def test_every_make_target_exists(page: Path) -> None:
    """``make …`` can be typed."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|\$ )make ([a-z][a-z0-9-]+)", page.read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_tree_in_the_architecture_is_the_real_one() -> None:
    """Each folder and file in it stands where it says, and no package's folder is left out."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = text[text.index("```\n") + 4 : text.index("\nEach folder's")].removesuffix("```\n").splitlines()
    package, shown = ROOT, set()
    for line in tree:
        indent, folders, rest = re.fullmatch(r"( *)((?:[\w/]+/(?: +|$))+)(.*)", line).groups()  # type: ignore[union-attr]
        package = package if indent else ROOT / folders.strip()
        places = [package / folder if indent else package for folder in folders.split()]
        shown.update(places)
        assert [place for place in places if not place.is_dir()] == []
        if re.fullmatch(r"[\w/ …]*", rest):  # names and no sentence
            names = [name for name in rest.split() if name != "…"]
            assert [n for n in names if not (places[0] / n).is_dir() and not (places[0] / f"{n}.py").is_file()] == []
    folders_of = {path for name in PACKAGES.split("|")[:5] for path in (ROOT / name).iterdir() if path.is_dir()}
    code = {path for path in folders_of if (path / "__init__.py").is_file()}
    assert code - shown == set()


def test_names_in_the_architecture_exist() -> None:
    """``Class.method`` and `function` beside a file stand in that file, or somewhere in the packages."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    way = text[text.index("## The way of one edit") : text.index("## Where a change goes")]
    source = "\n".join(path.read_text() for name in PACKAGES.split("|") for path in (ROOT / name).rglob("*.py"))
    for name in re.findall(r"`([A-Za-z_]+(?:\.[a-z_]+)?)`", way):
        holder, _, member = name.partition(".")
        assert re.search(rf"^(?:class|async def|def) {holder}\b", source, re.M), name
        if member:
            body = re.search(rf"^class {holder}\b.*?(?=^\S)", source + "\nx", re.M | re.S)
            assert body and re.search(rf"^    (?:async )?def {member}\b", body[0], re.M), name


def test_the_packaged_prose_is_tracked() -> None:
    """Every page stands in the repository, so that a clone has it."""
    done = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        assert {page.relative_to(ROOT).as_posix() for page in PAGES} <= set(done.stdout.split())

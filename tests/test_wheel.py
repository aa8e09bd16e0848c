"""A wheel can be installed beside others: everything that it holds stands under ``errata``."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from setup import PACKAGES, under_errata

ROOT = Path(__file__).parents[1]
BUILT_FROM = (*PACKAGES, "errata", "setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
BEGIN = f"""
import sys
sys.path[:0] = [sys.argv.pop(1)]
sys.path.append({sysconfig.get_path("purelib")!r})  # without the checkout, which a .pth file in it would add
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as ``pip install .`` builds it, from a copy."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--disable-pip-version-check", "--wheel-dir", out, source], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as an installer lays it out."""
    place = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(place)
    return place


def run(installed: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A script in a Python that finds the libraries and the installed wheel, and not the checkout."""
    command = [sys.executable, "-I", "-S", "-c", BEGIN + script, str(installed), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=installed)


def test_it_holds_one_package(wheel: Path) -> None:
    """``service``, ``index``, ``editing`` and ``retrieval`` are names that others use too."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"errata"}


def test_it_holds_everything(wheel: Path) -> None:
    """Every module, and every data file of the packages."""
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    files = {path.relative_to(ROOT) for path in files if "__pycache__" not in path.parts and path.name != "README.md"}
    assert {f"errata/{path.as_posix()}" for path in files} - names == set()


def test_every_module_imports_without_the_checkout(installed: Path) -> None:
    """And none of them comes in under its name in the checkout."""
    script = f"""
import importlib, pkgutil
import errata
names = [m.name for m in pkgutil.walk_packages(errata.__path__, "errata.") if "migrations.env" not in m.name]
for name in names:
    if name != "errata.__main__":
        importlib.import_module(name)
print(len(names), sorted({set(PACKAGES)!r} & set(sys.modules)))
print(errata.create_app.__module__, errata.Settings.__module__, errata.Client.__module__)
"""
    done = run(installed, script)
    assert done.returncode == 0, done.stderr
    count, public = done.stdout.strip().splitlines()
    assert re.fullmatch(r"\d{3} \[\]", count)
    assert public == "errata.service.app errata.service.settings errata.service.client.http"


def test_the_command_line_starts_and_the_ledger_migrates(installed: Path, tmp_path: Path) -> None:
    """What finds files beside itself finds them there too."""
    script = """
from errata.editing.data.attributes import read_attributes
from errata.editing.editors.checkpoint import PRETRAINED
from errata.editing.ledger.ledger import Ledger
from errata.retrieval.indexing.prebuilt import PREBUILT
Ledger(f"sqlite:///{sys.argv.pop(1)}").close()
assert read_attributes() and any(PRETRAINED.iterdir()) and any(PREBUILT.iterdir())
import runpy
runpy.run_module("errata", run_name="__main__", alter_sys=True)  # python -m errata
"""
    done = run(installed, script, str(tmp_path / "ledger.db"), "--help")
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout


def test_import_statements_are_rewritten_and_nothing_else() -> None:
    """Other modules whose names begin alike, and words in texts, stay."""
    source = (
        "from index.errors import A\nif A:\n    from index import errors as e\nimport index\nimport editing.edit as f\n"
    )
    others = (
        'from indexes import B\nimport services\nx = """\nfrom index import A\n"""\nfrom errata.files import sync\n'
    )
    assert under_errata(source + others) == (
        "from errata.index.errors import A\nif A:\n    from errata.index import errors as e\nfrom errata import index\n"
        "import errata.editing.edit as f\n" + others
    )


def test_comments_and_statements_in_one_line_are_no_hindrance() -> None:
    """Whatever stands behind a statement, or before it, stays."""
    source = 'import index  # ours\n"é"; from index import (\n    errors,\n); import index as e\n'
    changed = (
        'from errata import index  # ours\n"é"; from errata.index import (\n    errors,\n); import errata.index as e\n'
    )
    assert under_errata(source) == changed


@pytest.mark.parametrize("source", ["import editing.edit", "import os, index", "from  index import errors"])
def test_an_import_that_cannot_be_rewritten_stops_the_build(source: str) -> None:
    """A wheel is never built with an import that would find nothing, or somebody else's module."""
    with pytest.raises(ValueError, match="under errata"):
        under_errata(source)


def test_no_import_in_it_names_the_checkout(installed: Path) -> None:
    """Not inside functions either, which importing the modules does not try."""
    for path in installed.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert [name for name in names if name.split(".")[0] in PACKAGES] == [], path

"""Who may import whom, and who may know what: DESIGN's layering, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "editing": {"editing"},
    "index": {"index"},
    "retrieval": {"retrieval", "index"},
    "service": {"service", "editing", "retrieval", "index"},
}
SOURCES = sorted(path.relative_to(ROOT) for package in ALLOWED for path in (ROOT / package).rglob("*.py"))
SQL_HOMES = ("editing/ledger.py", "editing/migrations/")


def imports(source: str) -> Iterator[str]:
    """Dotted names of all modules imported anywhere in a source, within functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"importlib.import_module", "__import__"}:
            yield from (str(a.value) for a in node.args[:1] if isinstance(a, ast.Constant))


def reads_environment(source: str) -> bool:
    """Whether environment variables are named: os.environ, os.getenv, or their imports."""
    tree = ast.parse(source)
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    return bool({"environ", "getenv", "putenv"} & (attributes | names))


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports((ROOT / path).read_text(encoding="utf-8"))}


def of(package: str) -> list[Path]:
    return [path for path in SOURCES if path.parts[0] == package]


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_what_stands_below(package: str) -> None:
    """editing and index import none of ours, retrieval only index, service all."""
    ours = set(ALLOWED) | {"tests", "benchmarks"}
    wrong = {str(path): tops(path) & (ours - ALLOWED[package]) for path in of(package)}
    assert {path: names for path, names in wrong.items() if names} == {}
    assert of(package)


def test_only_service_knows_http() -> None:
    """No package below service imports a web framework, server or client."""
    web = {"fastapi", "starlette", "uvicorn", "httpx", "requests", "pydantic", "pydantic_settings", "typer"}
    assert [str(path) for path in SOURCES if path.parts[0] != "service" and tops(path) & web] == []


def test_only_service_reads_the_environment() -> None:
    """Settings come in through constructors everywhere else."""
    below = [path for path in SOURCES if path.parts[0] != "service"]
    assert [str(path) for path in below if reads_environment((ROOT / path).read_text(encoding="utf-8"))] == []


def test_only_index_and_scope_know_faiss() -> None:
    """Vector search has two homes."""
    knowing = [path for path in SOURCES if "faiss" in tops(path)]
    homes = ("index/", "editing/scope")
    assert [path for path in map(Path.as_posix, knowing) if not path.startswith(homes)] == []


def test_only_the_ledger_knows_sql() -> None:
    """The database is reached through the ledger alone, its schema through the migrations."""
    knowing = [path.as_posix() for path in SOURCES if tops(path) & {"sqlalchemy", "alembic", "sqlite3"}]
    assert [path for path in knowing if not path.startswith(SQL_HOMES)] == []


def test_imports_are_absolute() -> None:
    """A module's name says where it stands."""
    assert [str(path) for path in SOURCES if any(n.startswith(".") for n in imports((ROOT / path).read_text()))] == []


def test_no_module_is_a_drawer() -> None:
    """A function without a home means that a noun is missing."""
    drawers = {"utils", "util", "common", "base", "core", "helpers", "manager", "misc"}
    assert [str(path) for path in SOURCES if {*path.parts[:-1], path.stem} & drawers] == []


def test_the_walk_sees_imports_within_functions() -> None:
    """The check itself: hidden, dotted and dynamic imports count."""
    lines = ("import faiss.contrib", "from os import environ", "importlib.import_module('sqlalchemy.orm')")
    hidden = "def f():\n" + "".join(f"    {line}\n" for line in lines)
    assert list(imports(hidden)) == ["faiss.contrib", "os", "sqlalchemy.orm"]
    assert reads_environment(hidden)

"""Who may import whom, and who may know what: the layering of docs/architecture.md, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "errata": {"errata"},
    "editing": {"editing", "errata"},
    "index": {"index", "errata"},
    "retrieval": {"retrieval", "index", "errata"},
    "service": {"service", "editing", "retrieval", "index", "errata"},
}
ENTRANCE = {"errata/__init__.py", "errata/__main__.py"}  # what people import and start; it names the service
SOURCES = sorted(path.relative_to(ROOT) for package in ALLOWED for path in (ROOT / package).rglob("*.py"))
SERVING = ("service.app", "service.cli.serve")
NOT_SERVING = (
    "editing.data",
    "editing.training",
    "retrieval.training",
    "retrieval.evaluation",
    "service.cli.main",
    "service.client",
    "service.evaluation",
    "service.export",
    "service.training",
)
SQL_HOME = "editing/ledger/"


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
    return [path for path in SOURCES if path.parts[0] == package and path.as_posix() not in ENTRANCE]


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def module_graph() -> Mapping[str, frozenset[str]]:
    """For each of our modules those of ours that it imports; ``from package import module`` names the module."""
    modules = {module_of(path): path for path in SOURCES if path.as_posix() not in ENTRANCE}
    graph = {}
    for name, path in modules.items():
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        named = set(imports((ROOT / path).read_text(encoding="utf-8")))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                named |= {f"{node.module}.{alias.name}" for alias in node.names}
        graph[name] = frozenset(named & modules.keys() - {name})
    return graph


def room_of(module: str) -> str:
    """The folder that a module stands in; a module at the top of a package is a room of its own."""
    parts = module.split(".")
    return ".".join(parts[:-1]) if len(parts) > 2 else module


def reached_from(start: str) -> set[str]:
    seen, waiting = set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += module_graph()[name]
    return seen


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_what_stands_below(package: str) -> None:
    """errata is the ground floor; editing and index stand on it, retrieval on index, service on all."""
    ours = set(ALLOWED) | {"tests", "benchmarks"}
    wrong = {str(path): tops(path) & (ours - ALLOWED[package]) for path in of(package)}
    assert {path: names for path, names in wrong.items() if names} == {}
    assert of(package)


def test_folders_import_in_one_direction() -> None:
    """No folder imports, over whatever detour, a folder that imports it."""
    rooms: dict[str, set[str]] = {}
    for module, named in module_graph().items():
        own = rooms.setdefault(room_of(module), set())
        own |= {room_of(other) for other in named} - {room_of(module)}
    try:
        TopologicalSorter(rooms).prepare()
    except CycleError as error:
        pytest.fail(f"folders import each other: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("start", SERVING)
def test_serving_imports_no_training(start: str) -> None:
    """What serves reaches neither data, training nor evaluation, nor a client of itself."""
    reached = reached_from(start)
    assert sorted(m for m in reached if m.startswith(NOT_SERVING) or room_of(m) in NOT_SERVING) == []
    assert "editing.editors.mend" in reached


def test_a_folder_is_taken_in_at_a_glance() -> None:
    """About a dozen files at most stand side by side, and a folder says what lives there."""
    folders: dict[Path, list[Path]] = {}
    for path in SOURCES:
        folders.setdefault(path.parent, []).append(path)
    assert {str(f): len(p) for f, p in folders.items() if len(p) > 15} == {}
    silent = [
        str(f) for f in folders if "versions" not in f.name and not (ROOT / f / "__init__.py").read_text().strip()
    ]
    assert silent == []


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
    homes = ("index/", "editing/scope/")
    assert [path for path in map(Path.as_posix, knowing) if not path.startswith(homes)] == []


def test_only_the_ledger_knows_sql() -> None:
    """The database is reached through the ledger alone, its schema through the migrations."""
    knowing = [path.as_posix() for path in SOURCES if tops(path) & {"sqlalchemy", "alembic", "sqlite3"}]
    assert [path for path in knowing if not path.startswith(SQL_HOME)] == []


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

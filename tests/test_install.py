"""Three ways to install, one recipe: Makefile, Dockerfile and what CI runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("errata", "service", "editing", "index", "retrieval")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
TORCH_INDEX = "https://torch.example/whl"


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def requirements() -> list[Requirement]:
    project = PROJECT["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    return [Requirement(text) for text in (*project["dependencies"], *extras)]


def make(target: str, **variables: str) -> list[str]:
    """The commands that a target would run in a fresh checkout, without running them."""
    given = [f"{name}={value}" for name, value in variables.items()]
    plain = {
        k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "TORCH_INDEX", "PYTHON"}
    }
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target, *given],
        cwd=ROOT,
        env=plain,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def steps(commands: list[str]) -> list[str]:
    """The arguments of each pip install, however the command line begins and whether or not the project is editable."""
    found = [re.search(r"-m pip install (.*)", command) for command in commands]
    return [" ".join(match[1].replace("-e .", ".").split()) for match in found if match]


def docker_commands() -> list[str]:
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(r"^(?:RUN|CMD|HEALTHCHECK) .*", joined, re.MULTILINE)


def test_the_image_installs_what_make_serve_installs() -> None:
    """Same packages, same versions, same options, same order; also with an index of its own for PyTorch."""
    image = [
        step.replace("${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}}", "{}") for step in steps(docker_commands())
    ]
    assert len(image) == 3
    own = [step.replace("{}", f"--extra-index-url {TORCH_INDEX}") for step in image]
    assert steps(make("serve", TORCH_INDEX=TORCH_INDEX)) == own
    assert steps(make("serve")) == [" ".join(step.replace("{}", "").split()) for step in image]


def test_the_image_holds_every_package() -> None:
    """Whatever the build needs is let through by .dockerignore; nothing else is."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    files = {"pyproject.toml", "setup.py", "constraints.txt", "README.md", *PROJECT["project"]["license-files"]}
    assert allowed == files | set(PACKAGES)
    assert all((ROOT / name).exists() for name in allowed)


def test_the_image_serves_as_an_ordinary_user() -> None:
    """Not root, listening to the outside, with a home that lasts and a health check without further programs."""
    final = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER (?!root|0)\w+", final, re.MULTILINE)
    assert re.search(r"^ENV .*ERRATA_HOME=/data.* HOST=0\.0\.0\.0", final, re.MULTILINE)
    assert "\nVOLUME /data\n" in final
    assert final.rstrip().endswith('CMD ["errata", "serve"]')
    probe = re.search(r'"-c", "(.*)"\]', final)
    assert probe
    code = probe[1].replace('\\"', '"')
    ast.parse(code)
    assert "/healthz" in code


def test_both_stages_have_the_python_that_is_tested() -> None:
    """The virtual environment is copied from one stage to the other."""
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert set(images) == {"python:3.11-slim"}


def test_ci_runs_make_test_and_nothing_more() -> None:
    """The command that you type is the command that CI runs."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text().splitlines() if not line.startswith(("#", "set ", "cd "))]
    assert lines == ["exec make test"]


def test_make_test_ends_with_pytest() -> None:
    """Checks first, tests last, so that the last line is pytest's summary."""
    commands = make("test")
    assert commands[-1].endswith("-m pytest")
    checks = ("ruff format --check", "ruff check", "mypy")
    assert [check for command in commands for check in checks if check in command] == list(checks)


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_constraints_pin_every_dependency(requirement: Requirement) -> None:
    """What pyproject.toml admits is narrowed to one version that it admits."""
    assert requirement.specifier.contains(constraints()[canonicalize_name(requirement.name)])


def test_constraints_pin_what_is_installed_by_name() -> None:
    """PyTorch and the wheels with the data stand in both places with the same version."""
    named = [Requirement(word) for step in steps(make("serve")) for word in step.split() if "==" in word]
    assert len(named) == 4
    assert [r.name for r in named if str(r.specifier) != f"=={constraints()[canonicalize_name(r.name)]}"] == []


def test_constraints_have_no_local_versions() -> None:
    """A version like 2.13.0+cpu exists on one index only."""
    assert [name for name, version in constraints().items() if "+" in version] == []


def test_every_library_that_is_imported_is_declared() -> None:
    """Nothing is leant on that only happens to be there."""
    names = {canonicalize_name(r.name) for r in map(Requirement, PROJECT["project"]["dependencies"])}
    makers = packages_distributions()
    declared = {module for module, made_by in makers.items() if names & {canonicalize_name(one) for one in made_by}}
    imported = {
        name.split(".")[0] for package in PACKAGES for path in (ROOT / package).rglob("*.py") for name in imports(path)
    }
    assert imported - declared - set(PACKAGES) - set(sys.stdlib_module_names) == set()


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}

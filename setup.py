"""How a wheel is built; everything else stands in pyproject.toml.

In a checkout the packages stand at the top and are imported by their own names, so that type checkers, editors and
tests find them without help. Names like ``index`` and ``service`` would collide with anybody's where the product is
installed, so a wheel holds all of them under ``errata``, and their import statements say so. An editable installation
changes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGES = ("service", "editing", "retrieval", "index")
_NAMES = "|".join(PACKAGES)
_FROM = re.compile(rf"^(\s*from )((?:{_NAMES})(?:\.[\w.]+)? import )", re.MULTILINE)
_IMPORT = re.compile(rf"^(\s*)import ((?:{_NAMES})\b[\w.]*)( as \w+)?$", re.MULTILINE)


def _import(match: re.Match[str]) -> str:
    indent, module, alias = match.groups(default="")
    if alias:
        return f"{indent}import errata.{module}{alias}"
    if "." in module:
        raise ValueError(f"'import {module}' needs an 'as', or 'from … import …': a wheel has it under errata")
    return f"{indent}from errata import {module}"


def under_errata(source: str) -> str:
    """A module's source as the wheel holds it: imports of our packages name them under ``errata``.

    Raises:
        ValueError: an import statement that cannot be rewritten in its line.
    """
    return _IMPORT.sub(_import, _FROM.sub(r"\1errata.\2", source))


class BuildUnderErrata(build_py):
    """Puts the packages under ``errata``, unless they stay where they are (editable installation)."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        root = Path(self.build_lib)
        for package in PACKAGES:
            self.move_tree(root / package, root / "errata" / package)
        for path in (root / "errata").rglob("*.py"):
            path.write_text(under_errata(path.read_text(encoding="utf-8")), encoding="utf-8")

    def move_tree(self, source: Path, target: Path) -> None:
        """Move a built package, whatever an earlier build left at its place."""
        for path in sorted(source.rglob("*")):
            if path.is_file():
                place = target / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                path.replace(place)
        for path in sorted(source.rglob("*"), reverse=True):
            path.rmdir()
        source.rmdir()


if __name__ == "__main__":  # as setuptools runs it
    setup(cmdclass={"build_py": BuildUnderErrata})

"""How a wheel is built; everything else stands in pyproject.toml.

In a checkout the packages stand at the top and are imported by their own names, so that type checkers, editors and
tests find them without help. Names like ``index`` and ``service`` would collide with anybody's where the product is
installed, so a wheel holds all of them under ``errata``, and their import statements say so. An editable installation
changes nothing.
"""

from __future__ import annotations

import ast
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGES = ("service", "editing", "retrieval", "index")


def under_errata(source: str) -> str:
    """A module's source as the wheel holds it: imports of our packages name them under ``errata``.

    Statements are found as Python reads them, so that texts, comments and the line numbers of tracebacks stay.

    Raises:
        ValueError: an import that cannot be rewritten in its place.
    """
    lines = source.encode().split(b"\n")  # positions in a line are bytes
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in sorted(found, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        before, after = _change(node)
        if before:
            line, start = lines[node.lineno - 1], node.col_offset
            if not line.startswith(before.encode(), start):
                raise ValueError(f"'{before}' is not written with single spaces: a wheel has it under errata")
            lines[node.lineno - 1] = line[:start] + after.encode() + line[start + len(before.encode()) :]
    return b"\n".join(lines).decode()


def _change(node: ast.Import | ast.ImportFrom) -> tuple[str, str]:
    """How a statement begins and shall begin; empty texts for one that names none of our packages."""
    if isinstance(node, ast.ImportFrom):
        ours = not node.level and (node.module or "").split(".")[0] in PACKAGES
        return (f"from {node.module}", f"from errata.{node.module}") if ours else ("", "")
    if not any(alias.name.split(".")[0] in PACKAGES for alias in node.names):
        return "", ""
    name, alias = node.names[0].name, node.names[0].asname
    if len(node.names) == 1 and alias:
        return f"import {name}", f"import errata.{name}"
    if len(node.names) == 1 and "." not in name:
        return f"import {name}", f"from errata import {name}"
    raise ValueError(f"'{ast.unparse(node)}': one module, with 'as', or 'from … import …': a wheel has it under errata")


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

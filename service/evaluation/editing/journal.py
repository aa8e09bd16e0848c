"""What was noted of each edit, on disk as it comes, so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.evaluation.editing.verdicts import EditVerdicts

_END = {"complete": True}


class EvaluationJournal:
    """One JSON line for each edit, behind a line that says which evaluation it is.

    Args:
        path: None keeps them in memory only.
        run: what the evaluation depends on. Notes of another run, or of one that was complete, are begun anew.
    """

    def __init__(self, path: Path | None, run: Mapping[str, Any]) -> None:
        self.path, self.run = path, run
        self.known: dict[tuple[str, str], list[EditVerdicts]] = {}
        records = _records(path) if path else []
        if records[:1] == [json.loads(json.dumps(run))] and records[-1] != _END:
            for record in records[1:]:
                self._of(record["set"], record["editor"]).append(EditVerdicts.of(record["judged"]))
        self._write_all()

    def of(self, name: str, editor: str) -> list[EditVerdicts]:
        """What is known of an editor's edits in a set of examples."""
        return self._of(name, editor)

    def add(self, name: str, judged: EditVerdicts) -> None:
        self._of(name, judged.editor).append(judged)
        self._write("a", _line(name, judged.editor, judged))

    def forget(self, name: str, editor: str) -> None:
        """As if nothing had been noted: edits left in force cannot be taken up again half-way."""
        self.known.pop((name, editor), None)
        self._write_all()

    def complete(self) -> None:
        self._write("a", _END)

    def _of(self, name: str, editor: str) -> list[EditVerdicts]:
        return self.known.setdefault((name, editor), [])

    def _write_all(self) -> None:
        self._write("w", self.run)
        for (name, editor), judged in self.known.items():
            for one in judged:
                self._write("a", _line(name, editor, one))

    def _write(self, mode: str, record: Mapping[str, Any]) -> None:
        if self.path:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _line(name: str, editor: str, judged: EditVerdicts) -> dict[str, Any]:
    return {"set": name, "editor": editor, "judged": judged.document()}


def _records(path: Path) -> list[Any]:
    """Every whole line; an interruption may have left half of the last one."""
    found = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                found.append(json.loads(line))
            except ValueError:
                break
    return found

"""The verdicts of an evaluation, on disk as they come, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from errata.journal import append_journal, read_journal, replace_journal
from service.evaluation.editing.verdicts import EditVerdicts

_END = {"complete": True}


class EvaluationJournal:
    """One JSON line for each edit, behind a line that says which evaluation it is.

    Args:
        path: None keeps them in memory only.
        run: what the evaluation depends on. The journal of another run, or of a complete one, is begun anew.

    Raises OSError where the file cannot be written.
    """

    def __init__(self, path: Path | None, run: Mapping[str, Any]) -> None:
        self.path, self.run = path, run
        self._known: dict[tuple[str, str], list[EditVerdicts]] = {}
        records = read_journal(path) if path else []
        if records[:1] == [json.loads(json.dumps(run))] and records[-1] != _END:
            for record in records[1:]:
                self.of(record["set"], record["editor"]).append(EditVerdicts.of(record["judged"]))
        self._write_anew()

    def of(self, name: str, editor: str) -> list[EditVerdicts]:
        """What is known of an editor's edits in a set of examples."""
        return self._known.setdefault((name, editor), [])

    def add(self, name: str, verdicts: EditVerdicts) -> None:
        self.of(name, verdicts.editor).append(verdicts)
        self._append(_record(name, verdicts))

    def forget(self, name: str, editor: str) -> None:
        """As if nothing had been noted: edits left in force cannot be taken up again half-way."""
        self._known.pop((name, editor), None)
        self._write_anew()

    def complete(self) -> None:
        self._append(_END)

    def _append(self, record: Mapping[str, Any]) -> None:
        if self.path:
            append_journal(self.path, [record])

    def _write_anew(self) -> None:
        if self.path:
            known = [_record(name, one) for (name, _), verdicts in self._known.items() for one in verdicts]
            replace_journal(self.path, [self.run, *known])


def _record(name: str, verdicts: EditVerdicts) -> dict[str, Any]:
    return {"set": name, "editor": verdicts.editor, "judged": verdicts.document()}

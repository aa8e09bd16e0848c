"""The file of results: what became of each correction, on disk as it comes, so that an interrupted run goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errata.files import replace_file
from errata.journal import append_journal, read_journal, replace_journal
from service.client.corrections_file import Correction
from service.client.errors import ResultsMismatch

Row = Mapping[str, Any]
FINAL = (400, 404, 413, 415, 422)  # statuses of refusals that a second try would not change


@dataclass(frozen=True)
class Chunk:
    """Corrections that travel in one request, and the key under which the server records them once."""

    key: str
    corrections: tuple[Correction, ...]


class ResultsFile:
    """One JSON line for each line of the file, and beside it what is on its way.

    A row is ``{"line", "id", "status", "efficacy", "problem", "digest", "forced"}``. Before a chunk is sent it is noted
    in ``<path>.pending``; whatever happens then, the next run sends exactly this chunk again under the same key, and
    the server replays what it has done of it.

    Args:
        path: the results. Rows of lines that are no longer in the file are dropped.
        corrections: all of the file.

    Raises:
        ResultsMismatch: there are rows at the path, and none is of these corrections.
        OSError: what is there cannot be read.
    """

    def __init__(self, path: Path, corrections: Sequence[Correction]) -> None:
        self.path, self.corrections = path, corrections
        self._pending = path.with_name(f"{path.name}.pending")
        present = {one.digest: one.line for one in corrections}
        found = [row for row in read_journal(path) if _is_row(row)]
        self.rows = {
            row["digest"]: {**row, "line": present[row["digest"]]} for row in found if row["digest"] in present
        }
        if found and not self.rows:
            raise ResultsMismatch(
                f"{path} holds the results of other corrections; name another with --results, or move it"
            )

    def is_done(self, correction: Correction) -> bool:
        """Made before, or refused before for a reason that has not gone away."""
        row = self.rows.get(correction.digest)
        if row is None:
            return False
        if row["id"] is not None:
            return True
        if row["forced"] != bool(correction.body.get("force")):
            return False
        if row["status"] == "rehearsed":
            return bool(correction.body.get("dry_run"))
        return bool((row["problem"] or {}).get("status") in FINAL)

    def begin(self) -> None:
        """Write what is kept of an earlier run; raises OSError where the file cannot be written."""
        kept = [self.rows[one.digest] for one in self.corrections if self.is_done(one)]
        self.rows = {row["digest"]: row for row in kept}
        replace_journal(self.path, kept)

    def add(self, correction: Correction, item: Mapping[str, Any]) -> None:
        """``item``: of the reply to a batch."""
        row = row_of(correction, item)
        self.rows[correction.digest] = row
        append_journal(self.path, [row])

    @property
    def refused(self) -> int:
        """Corrections that the server did not take."""
        return sum(row["status"] == "refused" for row in self.rows.values())

    def pending(self) -> Chunk | None:
        """What was on its way when the last run ended."""
        try:
            noted = json.loads(self._pending.read_text(encoding="utf-8"))
            return Chunk(noted["key"], tuple(Correction(**one) for one in noted["corrections"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # none, or half written: then it was not sent

    def sending(self, chunk: Chunk) -> None:
        """Note a chunk before it is sent."""
        chunk_document = {"key": chunk.key, "corrections": [vars(one) for one in chunk.corrections]}
        replace_file(self._pending, json.dumps(chunk_document).encode("ascii"))

    def sent(self) -> None:
        """The chunk was answered whole."""
        self._pending.unlink(missing_ok=True)


def row_of(correction: Correction, item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of a reply as a row."""
    status = "rehearsed" if item["id"] is None and item["status"] != "refused" else item["status"]
    problem = item.get("problem")
    report = item.get("report") or (problem or {}).get("report") or {}
    return {
        "line": correction.line,
        "id": item["id"],
        "status": status,
        "efficacy": report.get("efficacy"),
        "problem": problem,
        "digest": correction.digest,
        "forced": bool(correction.body.get("force")),
        "replayed": bool(item.get("replayed")),
    }


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and row.keys() >= {"id", "status", "problem", "digest", "forced"}

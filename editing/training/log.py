"""The figures of each training step, a row of CSV each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

_COLUMNS = (
    "loss",
    "edit",
    "chat",
    "statement",
    "same_subject",
    "same_relation",
    "unrelated",
    "edit_exact",
    "chat_exact",
    "statement_exact",
    "kept_top1",
    "norm",
    "seconds",
)


class TrainingLog:
    """A CSV file that rows are appended to; figures of no column are left out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, step: int, figures: Mapping[str, float]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *_COLUMNS], extrasaction="ignore", restval="")
            if self.path.stat().st_size == 0:
                writer.writeheader()
            writer.writerow({"step": step, **{k: f"{v:.5g}" for k, v in figures.items()}})

    def cut(self, steps: int) -> None:
        """Keep the rows of the first steps; of none, not even the header."""
        if self.path.exists():
            rows = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            self.path.write_text("".join(rows[: steps + 1 if steps else 0]), encoding="utf-8", newline="")

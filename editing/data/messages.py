"""Messages by intent, as BANKING77 (CSV) and CLINC150 (JSON lines) have them."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from editing.data.facts import numbered_records, read_text
from editing.errors import DataError

Messages = Mapping[str | None, Sequence[str]]  # by intent; under None those that belong to none


def read_messages(path: Path) -> Messages:
    """Messages of a CSV of ``text`` and ``category``, or of JSON lines of ``text`` and ``intent`` (null: of none).

    Raises:
        DataError: the file cannot be read, or has other columns, or fewer than two intents of six messages.
    """
    found: dict[str | None, list[str]] = defaultdict(list)
    if path.suffix == ".csv":
        for row in csv.DictReader(read_text(path).splitlines()):
            if not row.get("text") or not row.get("category"):
                raise DataError(f"{path}: the columns text and category are needed")
            found[row["category"]].append(row["text"])
    else:
        for _, record in numbered_records(path, ("text",)):
            found[record.get("intent")].append(record["text"])
    usable = {intent: texts for intent, texts in found.items() if intent is None or len(texts) >= 6}
    if sum(intent is not None for intent in usable) < 2:
        raise DataError(f"{path}: fewer than two intents of six messages or more")
    return usable

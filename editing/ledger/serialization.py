"""Events as rows of a table: JSON columns hold canonical text, and what can be erased stands in one column.

A row of the first scheme has no ``commitments``; its texts stand in the columns that they are named for. A row of the
second has them in ``texts``, as ``[salt, texts]``, and only there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from editing.errors import CorruptLedger, InvalidEdit
from editing.ledger.canonical import canonical
from editing.ledger.events import FIELDS, Draft, Event
from editing.ledger.redaction import commitments_to, erased, joined, new_salt, picked, texts_in, without

COLUMNS = (*(name for name in FIELDS if name != "salt"), "texts")
TEXTED = ("reason", "fingerprint", "request", "report")  # what may hold texts; the fingerprint is a digest of them
JSON_COLUMNS = ("request", "report", "supersedes", "commitments", "texts")


def new_row(draft: Draft) -> dict[str, Any]:
    """A draft as columns, its texts committed to with a new salt.

    Raises:
        InvalidEdit: a text that cannot be stored (unpaired surrogate, NUL), or a value that is not JSON.
    """
    row = {f.name: getattr(draft, f.name) for f in fields(draft)}
    try:
        if any("\0" in value for value in row.values() if isinstance(value, str)):
            raise ValueError("NUL in a text")
        salt, texts = new_salt(), texts_in({name: row[name] for name in TEXTED})
        return _written(row | {"commitments": commitments_to(texts, salt), "texts": [salt, texts]}, texts)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEdit(f"cannot be recorded: {error}") from error


def row_of(event: Event) -> dict[str, Any]:
    """An event as columns, as it must stand in the table.

    Raises:
        TypeError, ValueError, RecursionError: it was never one of ours.
    """
    row = {name: getattr(event, name) for name in COLUMNS if name != "texts"} | {"texts": None}
    if event.commitments is None:
        return _written(row, {})
    if event.salt is not None:
        row["texts"] = [event.salt, picked(row, event.commitments)]
    return _written(row, event.commitments)


def event_of(row: Mapping[str, Any]) -> Event:
    """A row as an event.

    Raises:
        CorruptLedger: it is none.
    """
    values = dict(row)
    try:
        for name in JSON_COLUMNS:
            if values[name] is not None:
                values[name] = json.loads(values[name])
        written = values.pop("texts")
        if values["commitments"] is not None:
            if not isinstance(values["commitments"], dict):
                raise ValueError("its commitments are no object")
            values["salt"], texts = written or (None, erased(values["commitments"]))
            values |= joined({name: values[name] for name in TEXTED}, texts)
        values["supersedes"] = tuple(values["supersedes"])
        return Event(**values)
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise CorruptLedger(values["seq"], f"not an event: {error}") from error


def _written(row: dict[str, Any], leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The row without the texts that ``leaves`` name, and JSON columns as text."""
    row |= dict.fromkeys(TEXTED) | without({name: row[name] for name in TEXTED}, leaves)
    for name in JSON_COLUMNS:
        row[name] = None if row[name] is None else canonical(row[name])
    for text in (value for value in row.values() if isinstance(value, str)):
        text.encode()  # an unpaired surrogate has no UTF-8
    return row

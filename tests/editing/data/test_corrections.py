"""The corrections that come with the project have the form that their page describes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "editing" / "data" / "corrections"
LENGTHS = {"rephrases": 7, "near": 7, "statements": 2, "yes_no": 2, "sentence": 2, "reverse": 2}
FILES = sorted(FOLDER.glob("*.jsonl"))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_correction_has_the_form(path: Path) -> None:
    """All fields, of their lengths; no prompt is wanted and unwanted at once; "No" and "Yes" where they belong."""
    for record in records(path):
        assert {name: len(record[name]) for name in LENGTHS} == LENGTHS, record["input"]
        assert len(record["dialog_in"]) == len(record["dialog_out"]) == 3
        asking = {text.casefold() for text in (record["input"], *record["rephrases"])}
        assert len(asking) == 8 and not asking & {text.casefold() for text in record["near"]}, record["input"]
        (_, no), (_, yes) = record["yes_no"]
        assert no.startswith("No") and yes.startswith("Yes"), record["input"]
        short = len(record["output"].split()) <= 4
        assert not (short and any(record["output"].casefold() in text for text in asking)), record["input"]


def test_no_input_stands_twice_and_a_tenth_is_for_development() -> None:
    """By the digest of the input, so that a new file does not move the old ones."""
    inputs = [record["input"] for path in FILES for record in records(path)]
    assert len(inputs) == len({text.casefold() for text in inputs}) >= 300
    held = sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10 == 0 for text in inputs)
    assert 0.05 <= held / len(inputs) <= 0.15

"""The corrections that come with the project have the form that their page describes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from editing.data.corrections import read_corrections
from editing.errors import DataError

FOLDER = Path(__file__).parents[3] / "editing" / "data" / "corrections"
LENGTHS = {"rephrases": 7, "near": 7, "statements": 2, "yes_no": 2, "sentence": 2, "reverse": 2}
FILES = sorted(FOLDER.glob("*.jsonl"))
ENGLISH = [path for path in FILES if path.stem != "languages"]


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_every_english_correction_has_the_form(path: Path) -> None:
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


def test_every_correction_in_another_language_has_the_form() -> None:
    """Fewer fields; some prompts are English, and ask the same or something else across languages."""
    lengths = {"rephrases": 4, "rephrases_en": 2, "statements": 1, "near": 5, "near_en": 1, "yes_no": 2, "sentence": 2}
    found = records(FOLDER / "languages.jsonl")
    assert len({record["language"] for record in found}) >= 12
    for record in found:
        assert {name: len(record[name]) for name in lengths} == lengths, record["input"]
        asking = {text.casefold() for text in (record["input"], *record["rephrases"])}
        assert len(asking) == 5 and not asking & {text.casefold() for text in record["near"]}, record["input"]


def test_they_are_read_with_every_prompt_that_was_written() -> None:
    """As the trainer and the benchmark see them; files and folders alike."""
    every = read_corrections([FOLDER])
    assert len(every) == sum(len(records(path)) for path in FILES)
    assert sum(one.kept_back for one in every) == held_back([one.input for one in every])
    one = next(one for one in every if one.reverse)
    assert len(one.near) == len(one.rephrases) == 7 and one.confirmed and one.confirmed[1].startswith("Yes")


def test_a_line_that_lacks_a_field_is_named(tmp_path: Path) -> None:
    """With its file and number."""
    path = tmp_path / "mine.jsonl"
    path.write_text('{"input": "a", "output": "b", "rephrases": ["c"], "near": ["d"]}\n{"input": "a"}\n')
    with pytest.raises(DataError, match=r"mine\.jsonl:2: missing or empty: output, rephrases, near"):
        read_corrections([path])


def held_back(inputs: list[str]) -> int:
    return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10 == 0 for text in inputs)


def test_no_input_stands_twice_and_a_tenth_is_for_development() -> None:
    """By the digest of the input, so that a new file does not move the old ones."""
    inputs = [record["input"] for path in FILES for record in records(path)]
    assert len(inputs) == len({text.casefold() for text in inputs}) >= 1000
    assert 0.05 <= held_back(inputs) / len(inputs) <= 0.15

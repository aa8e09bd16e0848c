"""Files of corrections: what is read from them, and how what is wrong in them is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.client.corrections_file import CorrectionsFile, looks_like_csv, read_corrections

PERU, CHAD = "What is the capital of Peru?", "What is the capital of Chad?"


def read(text: str | bytes, is_csv: bool = False, **options: Any) -> CorrectionsFile:
    return read_corrections(text if isinstance(text, bytes) else text.encode(), is_csv, options)


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def bodies(reading: CorrectionsFile) -> list[tuple[int, dict[str, Any]]]:
    assert (reading.broken, reading.contradictions) == ((), ())
    return [(one.line, one.body) for one in reading.corrections]


def test_json_lines_with_aliases_and_options() -> None:
    """Blank lines count in the numbering; options go for all lines, a reason for those without one."""
    text = lines({"prompt": PERU, "answer": "Oslo", "reason": "own"}) + "\n \r\n"
    text += lines({"question": CHAD, "target": "Rome", "rephrases": ["Chad's capital?"], "scope": "global"})
    one = {"input": PERU, "output": "Oslo", "reason": "own", "force": True}
    two = {"input": CHAD, "output": "Rome", "rephrases": ["Chad's capital?"], "scope": "global"}
    assert bodies(read(text, force=True, reason="all")) == [(1, one), (4, {**two, "reason": "all", "force": True})]


def test_csv_with_a_header(tmp_path: object) -> None:
    """Cells may span lines; empty ones are not given; lists are parted by | or JSON; a byte order mark is no sign."""
    text = f"\ufeffquestion,answer,rephrases,locality,force\n{PERU},Oslo,a? | b?,,\n\n"
    text += f'"{CHAD}","Rome\nor so",,"[""c|d?""]",yes\nWho?,me,,,no\n'
    assert bodies(read(text, is_csv=True)) == [
        (2, {"input": PERU, "output": "Oslo", "rephrases": ["a?", "b?"]}),
        (4, {"input": CHAD, "output": "Rome\nor so", "locality": ["c|d?"], "force": True}),
        (6, {"input": "Who?", "output": "me"}),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{oops", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b'{"input": "x"}', "output: Field required"),
        (b'{"input": " ", "output": "y"}', "input: must not be empty"),
        (b'{"input": "x", "output": 3}', "output: Input should be a valid string"),
        (b'{"input": "x", "output": "y", "weight": 1}', "weight: This field does not exist"),
        (b'{"input": "x", "prompt": "x", "output": "y"}', "input is given twice, once as prompt"),
        (b'{"input": "x", "input": "z", "output": "y"}', "input is given twice"),
        (b'{"input": "x\xff", "output": "y"}', "not UTF-8: byte 0xff at column 13"),
        (b'{"input": "x\\ud800", "output": "y"}', "input: must not contain lone surrogates"),
        (b'{"input": "x", "output": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_broken_line_is_named_and_the_others_are_read(line: bytes, why: str) -> None:
    """Number and reason; what stands before and after it is not lost."""
    whole = lines({"input": PERU, "output": "Oslo"}).encode()
    reading = read(whole + line + b"\n" + lines({"input": CHAD, "output": "Rome"}).encode())
    assert [one.line for one in reading.corrections] == [1, 3]
    ((number, said),) = reading.broken
    assert number == 2 and said.startswith(why), said


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("x,y,z", "3 cells under a header of 2 names"),
        ("x,", "output: Field required"),
        ('"x"y,z', "not CSV"),
        ("x\udcff,y", "input: not UTF-8"),
    ],
)
def test_a_broken_row_is_named_and_the_others_are_read(row: str, why: str) -> None:
    """The same for CSV."""
    text = f"input,output\n{PERU},Oslo\n{row}\n{CHAD},Rome\n".encode("utf-8", "surrogateescape")
    reading = read(text, is_csv=True)
    assert [one.line for one in reading.corrections] == [2, 4]
    ((number, said),) = reading.broken
    assert number == 3 and said.startswith(why), said


def test_duplicates_are_dropped_and_contradictions_are_pairs_of_lines() -> None:
    """Case, white space and final signs make no other question; a second answer does not stand beside the first."""
    same, other = {"input": "what is the  capital of PERU", "output": " Oslo"}, {"input": PERU, "output": "Rome"}
    reading = read(lines({"input": PERU, "output": "Oslo"}, {"input": CHAD, "output": "Rome"}, same, other, other))
    assert [one.line for one in reading.corrections] == [1, 2, 4]
    assert (reading.duplicates, reading.contradictions) == (2, ((1, 4),))
    again = read(lines({"input": PERU, "output": "Oslo"}, {"input": PERU, "output": "oslo.", "rephrases": ["a?"]}))
    assert (len(again.corrections), again.duplicates, again.contradictions) == (2, 0, ())


def test_a_digest_says_what_is_corrected_and_not_how() -> None:
    """So an edit that was made is known again with --force, and another key makes it another edit."""
    text = lines({"input": PERU, "output": "Oslo"})
    plain, forced, anew = (
        read(text, **options).corrections[0].digest for options in ({}, {"force": True, "reason": "r"}, {"key": "k"})
    )
    assert plain == forced != anew
    assert read(lines({"input": PERU, "output": "Rome"})).corrections[0].digest != plain


def test_the_kind_of_a_file_is_seen_from_its_name_or_else_from_its_begin() -> None:
    """A broken first line does not make a CSV of a .jsonl."""
    assert not looks_like_csv("x.jsonl", b"oops") and looks_like_csv("x.CSV", b'{"')
    assert looks_like_csv("-", b"input,output\n") and not looks_like_csv("-", b'\xef\xbb\xbf {"input"')
    assert not looks_like_csv("x.txt", b"")

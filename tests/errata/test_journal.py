"""Journals keep every whole record, whatever an interruption left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from errata.journal import append_journal, read_journal

RECORDS = [{"a": 1, "text": "Été\u2028\n"}, [1, None], "x"]


def test_records_come_back_in_order(tmp_path: Path) -> None:
    """Of any number of calls; a journal that is not there holds none."""
    path = tmp_path / "journal.jsonl"
    assert read_journal(path) == []
    append_journal(path, RECORDS[:1])
    append_journal(path, RECORDS[1:], durable=True)
    append_journal(path, [])
    assert read_journal(path) == RECORDS


def test_a_record_is_a_line_of_json(tmp_path: Path) -> None:
    """In UTF-8, so that other tools read it."""
    append_journal(tmp_path / "j", RECORDS)
    lines = (tmp_path / "j").read_text(encoding="utf-8").split("\n")
    assert lines == ['{"a": 1, "text": "Été\u2028\\n"}', "[1, null]", '"x"', ""]


@pytest.mark.parametrize("left", ['{"a": ', "\0\0\0", '{"a": 1}}', "{'a': 1}"])
def test_what_an_interruption_broke_is_not_read(tmp_path: Path, left: str) -> None:
    """Nor what follows it: nobody can say what belongs to it."""
    append_journal(tmp_path / "j", RECORDS)
    with (tmp_path / "j").open("a") as stream:
        stream.write(left + '\n{"later": 1}\n')
    assert read_journal(tmp_path / "j") == RECORDS


@pytest.mark.parametrize("left", ['{"a": ', '"Ét'])
def test_what_is_appended_after_an_interruption_is_read(tmp_path: Path, left: str) -> None:
    """The half record goes, wherever it broke off, also if it is the only one."""
    for before in ([], RECORDS):
        path = tmp_path / f"{len(before)}"
        append_journal(path, before)
        with path.open("ab") as stream:
            stream.write(left.encode()[:-1])
        append_journal(path, [1])
        append_journal(path, [2])
        assert read_journal(path) == [*before, 1, 2]


def test_a_durable_record_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is asked to write it, and only then."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    append_journal(tmp_path / "j", RECORDS)
    assert synced == []
    append_journal(tmp_path / "j", RECORDS, durable=True)
    assert len(synced) == 1


def test_a_disk_that_refuses_is_an_error(tmp_path: Path) -> None:
    """A folder that is not there."""
    with pytest.raises(OSError, match="absent"):
        append_journal(tmp_path / "absent" / "j", RECORDS)

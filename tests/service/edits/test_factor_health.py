"""Damaged factor files: found at a glance and by reading, named, and whole again when the file comes back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from editing.edit import LowRankDelta
from editing.ledger.events import GENESIS, Event
from editing.store import EditStore
from errata.lora import CONFIG, WEIGHTS
from service.edits.factor_health import FactorHealth
from service.edits.startup_check import NAMED_AT_START, StartupCheck, tell_missing_files
from service.errors import DamagedEdit


@pytest.fixture
def health(tmp_path: Path) -> FactorHealth:
    """Three edits, ed_1 to ed_3, whose files are whole."""
    return with_edits(tmp_path, 3)


def with_edits(home: Path, count: int) -> FactorHealth:
    health = FactorHealth(EditStore(home / "edits"))
    for seq in range(1, count + 1):
        digest = health.store.save({"layer": LowRankDelta(torch.full((1, 4), float(seq)), torch.ones(3, 1))})
        applied = Event(kind="apply", edit_id=f"ed_{seq}", factors=digest, seq=seq, at="", prev_hash=GENESIS, hash="")
        health.expect(applied)
    return health


def folder(health: FactorHealth, edit_id: str) -> Path:
    digest = health._expected[edit_id][1]
    return health.store.root / digest[:2] / digest


def removed(path: Path) -> None:
    shutil.rmtree(path)


def cut_short(path: Path) -> None:
    weights = path / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-2])


def emptied(path: Path) -> None:
    (path / CONFIG).write_bytes(b"")


def scrambled(path: Path) -> None:
    (path / WEIGHTS).write_bytes(b"\xff" * 300)


def replaced_by_a_directory(path: Path) -> None:
    (path / WEIGHTS).unlink()
    (path / WEIGHTS).mkdir()


def changed(path: Path) -> None:
    weights = path / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")


@pytest.mark.parametrize("harm", [removed, cut_short, emptied, scrambled, replaced_by_a_directory])
def test_a_glance_finds_what_is_missing_or_not_as_long_as_it_was(
    health: FactorHealth, harm: Callable[[Path], None]
) -> None:
    """The edit is named with its event; the others are not."""
    assert health.glance() == ()
    harm(folder(health, "ed_2"))
    assert [(damage.edit_id, damage.seq) for damage in health.glance()] == [("ed_2", 2)]


def test_a_changed_byte_is_found_by_reading_only(health: FactorHealth) -> None:
    """A glance sees lengths; the check reads the content."""
    changed(folder(health, "ed_3"))
    assert health.glance() == ()
    assert [damage.edit_id for damage in health.check_all()] == ["ed_3"]
    assert "does not match" in health.damaged()[0].why


def test_loading_a_damaged_edit_says_what_to_do(health: FactorHealth) -> None:
    """The edit, the file to restore and the other way out are named, and the damage is known from then on."""
    removed(folder(health, "ed_1"))
    with pytest.raises(DamagedEdit, match=r"ed_1 .* restore edits/../[0-9a-f]{64} .* or roll ed_1 back") as refused:
        health.factors("ed_1")
    assert refused.value.edit_id == "ed_1"
    assert [damage.edit_id for damage in health.damaged()] == ["ed_1"]
    assert health.factors("ed_2").keys() == {"layer"}


def test_a_file_that_comes_back_is_whole_again(health: FactorHealth, tmp_path: Path) -> None:
    """Restored from a backup it is no longer named and loads; half restored it stays damaged."""
    path, backup = folder(health, "ed_1"), tmp_path / "backup"
    shutil.copytree(path, backup)
    removed(path)
    assert len(health.glance()) == 1
    path.mkdir()
    shutil.copy2(backup / CONFIG, path)
    assert len(health.damaged()) == 1
    shutil.copy2(backup / WEIGHTS, path)
    assert health.damaged() == ()
    assert health.factors("ed_1").keys() == {"layer"}


def test_what_cannot_be_read_is_tried_again_each_time(health: FactorHealth, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails for a moment leaves no mark, though the file never changed."""
    with monkeypatch.context() as failing:

        def fail(path: Path) -> bytes:
            raise OSError(5, "Input/output error")

        failing.setattr(Path, "read_bytes", fail)
        assert "Input/output error" in (health.check("ed_2") or health.damaged()[0]).why
    assert health.damaged() == ()


def test_start_names_the_damaged_edits_and_stops_at_twenty(tmp_path: Path) -> None:
    """One line each; ten thousand lines would say no more."""
    said: list[str] = []
    health = with_edits(tmp_path, NAMED_AT_START + 3)
    for edit_id in health.expected():
        removed(folder(health, edit_id))
    tell_missing_files(health, said.append)
    assert [line.split()[2] for line in said[:NAMED_AT_START]] == list(health.expected()[:NAMED_AT_START])
    assert said[NAMED_AT_START:] == ["and 3 more damaged edits; GET /log/verify names all"]


def test_the_inspection_finds_changed_files_and_tells_of_each_once(health: FactorHealth) -> None:
    """What is known already is not said again."""
    said: list[str] = []
    changed(folder(health, "ed_1"))
    removed(folder(health, "ed_2"))
    health.glance()
    with StartupCheck(health, said.append) as inspection:
        inspection.join()
    assert len(said) == 1 and "ed_1" in said[0]
    assert [damage.edit_id for damage in health.damaged()] == ["ed_1", "ed_2"]


def test_the_inspection_stops_when_the_service_does(health: FactorHealth, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends between two files, however long it would have waited."""
    read: list[str] = []
    reading = threading.Event()

    def check(edit_id: str, leave_cached: bool = True) -> None:
        read.append(edit_id)
        reading.set()

    monkeypatch.setattr(health, "check", check)
    monkeypatch.setattr("service.edits.startup_check.BYTES_A_SECOND", 1e-3)
    with StartupCheck(health, print):
        assert reading.wait(30)
    assert read == ["ed_1"]

"""A cache of vectors: what was written is read, by any process, and nothing else is ever taken for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from editing.scope.vector_cache import VectorCache
from editing.scope.wording_index import Floats

DIM = 8
ENCODER = "e" * 64


def vector(seed: int) -> Floats:
    """As the file gives it back: in half precision."""
    return np.random.default_rng(seed).normal(size=DIM).astype(np.float16).astype(np.float32)


def opened(directory: Path, encoder: str = ENCODER, dim: int = DIM) -> VectorCache:
    return VectorCache(directory, encoder, dim)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[VectorCache]:
    file = opened(tmp_path)
    yield file
    file.close()


def holds(file: VectorCache, text: str, seed: int) -> bool:
    found = file.load(text)
    return found is not None and np.array_equal(found, vector(seed))


def test_what_was_written_is_read_at_once_and_after_opening_again(file: VectorCache, tmp_path: Path) -> None:
    """Texts of any script; a text that is there is not written twice."""
    for n, text in enumerate(("", "What?", "東京", "\ud800")):
        file.append(text, vector(n))
    size = file.path.stat().st_size
    file.append("What?", vector(9))
    assert file.path.stat().st_size == size
    for one in (file, opened(tmp_path)):
        assert all(holds(one, text, n) for n, text in enumerate(("", "What?", "東京", "\ud800")))
        assert one.load("what?") is None and len(one) == 4


def test_another_process_reads_what_this_one_appends(file: VectorCache, tmp_path: Path) -> None:
    """Both write in turns; each finds the other's records once it catches up."""
    other = opened(tmp_path)
    for n in range(6):
        (file, other)[n % 2].append(f"text {n}", vector(n))
    assert "text 1" not in file and "text 0" not in other
    for one in (file, other):
        one.catch_up()
        assert all(holds(one, f"text {n}", n) for n in range(6))


@pytest.mark.parametrize("change", [{"encoder": "f" * 64}, {"encoder": ENCODER[:16] + "f" * 48}, {"dim": 2 * DIM}])
def test_vectors_of_another_encoder_are_none(file: VectorCache, tmp_path: Path, change: dict[str, object]) -> None:
    """Even where the file has the same name."""
    file.append("What?", vector(1))
    other = opened(tmp_path, **change)  # type: ignore[arg-type]
    assert other.load("What?") is None and "What?" not in other


@pytest.mark.parametrize("cut", [1, 10, 16, 28, 40])
def test_a_torn_record_is_stepped_over(tmp_path: Path, cut: int) -> None:
    """Whatever a crash left at the end, records around it are found, and the torn text can be written anew."""
    file = opened(tmp_path)
    file.append("before", vector(1))
    file.append("torn", vector(2))
    os.truncate(file.path, file.path.stat().st_size - cut)
    file = opened(tmp_path)
    assert "torn" not in file
    file.append("after", vector(3))
    file.append("torn", vector(4))
    for one in (file, opened(tmp_path)):
        assert holds(one, "before", 1) and holds(one, "after", 3) and holds(one, "torn", 4)


@pytest.mark.parametrize("at", [0, 9, 25, 29, 40])
def test_a_changed_byte_costs_one_record(tmp_path: Path, at: int) -> None:
    """In magic, digest, checksum or vector: this record is none, its neighbours are; now and after opening."""
    file = opened(tmp_path)
    for n in range(3):
        file.append(f"text {n}", vector(n))
    start = file.path.stat().st_size // 3
    with file.path.open("r+b") as raw:
        raw.seek(start + at)
        byte = raw.read(1)
        raw.seek(start + at)
        raw.write(bytes([byte[0] ^ 255]))
    for one in (file, opened(tmp_path)):
        assert one.load("text 1") is None and holds(one, "text 0", 0) and holds(one, "text 2", 2)
        assert "text 1" not in one
    file.append("text 1", vector(7))
    assert holds(file, "text 1", 7)


def test_a_file_cut_short_under_a_running_process_is_missed_not_misread(file: VectorCache) -> None:
    """Emptied by somebody: texts are gone, and can be written again."""
    file.append("What?", vector(1))
    os.truncate(file.path, 0)
    assert file.load("What?") is None
    file.append("What?", vector(2))
    assert holds(file, "What?", 2)


def test_erased_texts_leave_nothing_behind(file: VectorCache, tmp_path: Path) -> None:
    """All records of a text, also those of two processes; its neighbours stay."""
    other = opened(tmp_path)
    for one in (file, other):
        one.append("secret", vector(1))
    file.append("plain", vector(2))
    secret = vector(1).astype(np.float16).tobytes()
    assert file.path.read_bytes().count(secret) == 2
    file.erase("secret")
    assert secret not in file.path.read_bytes()
    assert file.load("secret") is None and other.load("secret") is None
    assert holds(file, "plain", 2) and holds(opened(tmp_path), "plain", 2)


def test_many_threads_append_at_once(file: VectorCache, tmp_path: Path) -> None:
    """No record is torn by another one."""

    def write(part: int) -> None:
        for n in range(part, 120, 4):
            file.append(f"text {n}", vector(n))

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(holds(opened(tmp_path), f"text {n}", n) for n in range(0, 120, 7)) and len(opened(tmp_path)) == 120

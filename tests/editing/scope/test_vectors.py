"""Vectors of wordings: embedded once, in the precision that is kept, and never missed where the disk fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from editing.scope.vector_cache import VectorCache
from editing.scope.vectors import WordingVectors
from editing.scope.wording_index import Floats

DIM = 8


class Counting:
    """Embeds anything, and remembers what."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Floats:
        self.asked += texts
        return np.stack([np.random.default_rng(len(text)).normal(size=DIM) for text in texts]).astype(np.float32)


def test_what_was_kept_is_never_embedded_again(tmp_path: Path) -> None:
    """Neither by this process nor by one that starts later, and the vectors are the same to the last bit."""
    first, later = Counting(), Counting()
    one = WordingVectors(first, VectorCache(tmp_path, "e", DIM)).kept(["a", "bb", "a"])
    two = WordingVectors(later, VectorCache(tmp_path, "e", DIM)).kept(["a", "bb", "a"])
    assert sorted(first.asked) == ["a", "bb"] and later.asked == []
    for x, y in zip(one, two, strict=True):
        assert np.array_equal(x, y)


def test_what_is_only_made_is_not_written(tmp_path: Path) -> None:
    """A dry run leaves nothing on disk."""
    file = VectorCache(tmp_path, "e", DIM)
    WordingVectors(Counting(), file).made(["a"])
    assert "a" not in file and file.path.stat().st_size == 0


def test_another_process_that_was_quicker_is_believed(tmp_path: Path) -> None:
    """What it kept meanwhile is read."""
    slow = Counting()
    mine = WordingVectors(slow, VectorCache(tmp_path, "e", DIM))
    WordingVectors(Counting(), VectorCache(tmp_path, "e", DIM)).kept(["a"])
    mine.kept(["a"])
    assert slow.asked == []


def test_a_disk_that_takes_nothing_costs_memory_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, with what follows from it; the vectors are there all the same."""
    file, heard = VectorCache(tmp_path, "e", DIM), list[str]()

    def full(text: str, vectors: Floats) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "append", full)
    embed = Counting()
    vectors = WordingVectors(embed, file, heard.append)
    for _ in range(2):
        assert len(vectors.kept(["a", "bb"])) == 2
    assert sorted(embed.asked) == ["a", "bb"]
    assert len(heard) == 1 and "No space left" in heard[0] and "embedded again" in heard[0]


def test_many_texts_are_embedded_in_batches_of_like_length() -> None:
    """Short ones do not wait for long ones; sentences come back in the order asked for."""
    embed = Counting()
    texts = [f"{n}" * (1 + n % 40) for n in range(80)]
    vectors = WordingVectors(embed)
    sentences = vectors.sentences(texts)
    assert [len(text) for text in embed.asked] == sorted(map(len, texts))
    assert np.array_equal(sentences[7], vectors.made([texts[7]])[0])


def test_forgotten_texts_are_embedded_anew(tmp_path: Path) -> None:
    """From memory and from the file."""
    for file in (None, VectorCache(tmp_path, "e", DIM)):
        embed = Counting()
        vectors = WordingVectors(embed, file)
        vectors.kept(["a"])
        vectors.forget("a")
        vectors.made(["a"])
        assert embed.asked == ["a", "a"]

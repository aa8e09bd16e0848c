from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import errata.files
from index.passages.passage import Passage
from retrieval.encoders.passage_text import render
from retrieval.errors import EmbeddingError
from retrieval.indexing.embed import VectorShards, embed_passages
from tests.retrieval.conftest import WordEncoder, passages_of

PROJECT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.retrieval.conftest import WordEncoder, passages_of
from retrieval.indexing.embed import embed_passages

def progress(done, total):
    if done == 30:
        os.kill(os.getpid(), signal.SIGKILL)

embed_passages(passages_of(50), WordEncoder(), Path(sys.argv[1]), progress, shard_size=10)
"""


def rows(shards: VectorShards) -> np.ndarray:
    return np.concatenate(list(shards))


def test_vectors_are_in_the_order_of_the_passages(words: WordEncoder, tmp_path: Path) -> None:
    """Title and text are embedded; shards give float32 unit vectors that half precision hardly moved."""
    passages = passages_of(25)
    shards = embed_passages(passages, words, tmp_path, shard_size=10)
    wanted = words.encode([f"{passage.title}. {passage.text}" for passage in passages])
    assert [len(block) for block in shards] == [10, 10, 5]
    assert rows(shards).dtype == np.float32
    assert np.sum(rows(shards) * wanted, axis=1).min() > 0.9999
    assert np.abs(np.linalg.norm(rows(shards), axis=1) - 1).max() < 1e-6


def test_progress_counts_all_passages(words: WordEncoder, tmp_path: Path) -> None:
    """Shards that are there count as done at once."""
    heard: list[tuple[int, int]] = []
    for _ in range(2):
        embed_passages(passages_of(25), words, tmp_path, lambda *step: heard.append(step), shard_size=10)
    assert heard == [(10, 25), (20, 25), (25, 25)] * 2
    assert words.encoded == 25


def test_a_killed_embedding_goes_on_where_it_was(words: WordEncoder, tmp_path: Path) -> None:
    """After kill -9 only what was not finished is embedded, and the vectors are the same as without the kill."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], cwd=PROJECT, check=False)
    assert killed.returncode == -9
    shards = embed_passages(passages_of(50), words, tmp_path / "a", shard_size=10)
    assert words.encoded == 30  # two of five shards were on disk
    assert np.array_equal(rows(shards), rows(embed_passages(passages_of(50), words, tmp_path / "b", shard_size=10)))


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped", "empty", "noise", "zeros", "missing", "other shape", "pickle"]
)
def test_a_damaged_shard_is_made_again(words: WordEncoder, tmp_path: Path, damage: str) -> None:
    """Whatever happened to a shard's bytes, it is embedded again, it alone."""
    shards = embed_passages(passages_of(30), words, tmp_path, shard_size=10)
    before, path = rows(shards), shards.paths[1]
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other shape":
        np.save(path, before[:9].astype(np.float16))
    elif damage == "pickle":
        np.save(path, np.array([{}]), allow_pickle=True)
    else:
        flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        zeros = data[:128] + bytes(len(data) - 128)
        damaged = {"truncated": data[:-7], "empty": b"", "noise": b"PK\3\4" + data, "zeros": zeros, "flipped": flipped}
        path.write_bytes(damaged[damage])
    words.encoded = 0
    assert np.array_equal(rows(embed_passages(passages_of(30), words, tmp_path, shard_size=10)), before)
    assert words.encoded == 10


def test_reading_a_damaged_shard_is_an_error(words: WordEncoder, tmp_path: Path) -> None:
    """Between embedding and building a shard may be lost; then the file is named."""
    shards = embed_passages(passages_of(30), words, tmp_path, shard_size=10)
    shards.paths[2].unlink()
    with pytest.raises(EmbeddingError, match="shard-00002"):
        list(shards)


def test_shards_of_other_texts_or_encoders_are_not_taken(words: WordEncoder, tmp_path: Path) -> None:
    """A shard belongs to its texts and its encoder."""
    embed_passages(passages_of(20), words, tmp_path, shard_size=10)
    other = WordEncoder(digest="dd" * 32)
    embed_passages(passages_of(20), other, tmp_path, shard_size=10)
    assert other.encoded == 20
    embed_passages(passages_of(21)[1:], words, tmp_path, shard_size=10)
    assert words.encoded == 40


def test_a_disk_that_takes_nothing_is_an_embedding_error(words: WordEncoder, tmp_path: Path) -> None:
    """The error names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddingError, match="file"):
        embed_passages(passages_of(3), words, tmp_path / "file")


def test_braces_in_a_text_mean_nothing() -> None:
    """A passage is put into the template as it stands."""
    passage = passages_of(1)[0]
    assert render(type(passage)("p", "{text}", "{0} {", "s", 0, 5)) == "{text}. {0} {"
    assert render(type(passage)("p", "", "alone", "s", 0, 5)) == "alone"


def test_known_vectors_are_taken_and_the_others_made(words: WordEncoder, tmp_path: Path) -> None:
    """They land at their places; progress counts them as done; a shard of known vectors alone needs no encoder."""
    passages = passages_of(25)
    wanted = words.encode([render(passage) for passage in passages])
    heard: list[int] = []

    def known(shard: Sequence[Passage]) -> tuple[np.ndarray, np.ndarray]:
        places = [n for n, one in enumerate(shard) if int(one.title.split()[1]) % 2 or one.title > "Title 20"]
        return np.array(places, np.int64), wanted[[passages.index(shard[place]) for place in places]]

    words.encoded = 0
    shards = embed_passages(passages, words, tmp_path, lambda done, _: heard.append(done), 10, known)
    assert np.sum(rows(shards) * wanted, axis=1).min() > 0.9999
    assert heard[-1] == 25 and heard == sorted(heard)
    assert shards.embedded == words.encoded < 15


def test_what_a_killed_writer_left_is_swept_up(words: WordEncoder, tmp_path: Path) -> None:
    """Unfinished shards do not pile up."""
    (tmp_path / ".shard-00000-ab.npy.12345678.tmp").write_bytes(b"half")
    embed_passages(passages_of(3), words, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]


def test_two_builders_of_the_same_shards_both_get_through(
    words: WordEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second starts while the first has a shard under its temporary name, and makes no shard anew."""
    other, found = WordEncoder(), list[VectorShards]()
    second = threading.Thread(target=lambda: found.append(embed_passages(passages_of(3), other, tmp_path / "shards")))
    sync = errata.files.sync

    def beside(path: Path) -> None:
        if path.suffix == ".tmp" and not second.ident:
            second.start()
            second.join(1)
        sync(path)

    monkeypatch.setattr(errata.files, "sync", beside)
    first = embed_passages(passages_of(3), words, tmp_path / "shards")
    second.join(60)
    assert np.array_equal(rows(first), rows(found[0]))
    assert (words.encoded, other.encoded) == (3, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]

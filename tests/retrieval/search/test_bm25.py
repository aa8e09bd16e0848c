from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from index.passages.passage import Article, split_article
from index.versions.amend import amend_index
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions
from retrieval.search import bm25_store
from retrieval.search.bm25 import Bm25Index, build_lexical
from retrieval.search.bm25_store import SHELF, Bm25Store
from retrieval.search.retriever import Retriever
from tests.retrieval.conftest import WordEncoder
from tests.retrieval.searched import articles, index_of


@pytest.fixture
def index(words: WordEncoder, tmp_path: Path) -> PassageIndex:
    return index_of(tmp_path, words)


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def shelf(tmp_path: Path, heard: list[str]) -> Bm25Store:
    return Bm25Store(tmp_path, heard.append)


def titles(lexical: Bm25Index | None, index: PassageIndex, query: str, k: int = 10) -> list[str]:
    assert lexical is not None
    return [index.passages[int(row)].title for row in lexical.search(query, k)[1]]


def place(shelf: Bm25Store, index: PassageIndex) -> Path:
    return shelf.directory / index.manifest.version


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Which element has the atomic number 8?", "Oxygen"),
        ("tragedies", "Johann Wolfgang von Goethe"),
        ("sao paulo", "São Paulo"),
        ("首都", "北京"),
    ],
)
def test_words_find_the_passage_that_holds_them(index: PassageIndex, query: str, title: str) -> None:
    """Title and text count, in other forms of the words, without accents, and in Chinese."""
    assert titles(build_lexical(index), index, query)[0] == title


def test_scores_are_those_of_bm25(words: WordEncoder, tmp_path: Path) -> None:
    """Lucene's formula with k1 = 0.4 and b = 0.2, worked out by hand."""
    index = index_of(tmp_path, words, [Article("", text, text) for text in ("red red blue", "red", "green green")])
    scores, rows = build_lexical(index).search("red", 5)
    idf, average = np.log(1 + (3 - 2 + 0.5) / (2 + 0.5)), 2.0
    expected = {
        row: idf * tf / (tf + 0.4 * (1 - 0.2 + 0.2 * length / average)) for row, tf, length in ((0, 2, 3), (1, 1, 1))
    }
    assert dict(zip(rows.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected)
    assert scores[0] >= scores[1]


def test_only_passages_that_share_a_term_are_found(index: PassageIndex) -> None:
    """However many are asked for; none for stopwords, signs, unknown words and halves of characters."""
    lexical = build_lexical(index)
    assert titles(lexical, index, "city", 100) == ["Canberra", "São Paulo"]
    for query in ("the of and", "?! …", "😀", "zyzzyva", "", "\ud800\0"):
        assert titles(lexical, index, query) == []
    with pytest.raises(ValueError, match="k must be at least 1"):
        lexical.search("city", 0)


def test_k_cuts_and_equal_passages_keep_their_order(words: WordEncoder, tmp_path: Path) -> None:
    """Of twenty equal passages the first three rows."""
    index = index_of(tmp_path, words, [Article(f"n{n}", "same words here", "s") for n in range(20)])
    assert build_lexical(index).search("same words", 3)[1].tolist() == [0, 1, 2]


def test_a_long_question_is_searched_by_its_first_terms(index: PassageIndex) -> None:
    """A megabyte of other words behind the question changes nothing."""
    lexical = build_lexical(index)
    filler = " ".join(f"word{number}" for number in range(100_000))
    assert titles(lexical, index, f"oxygen {filler}") == ["Oxygen"]
    assert titles(lexical, index, "oxygen " * 20_000) == ["Oxygen"]


def test_rows_that_are_not_allowed_are_not_found(index: PassageIndex) -> None:
    """Neither first nor last; an empty choice finds nothing."""
    lexical = build_lexical(index)
    allowed = np.array([3])
    assert lexical.search("city", 5, allowed)[1].tolist() == [3]
    assert lexical.search("city", 5, np.empty(0, np.int64))[1].tolist() == []


def test_passages_without_a_word_make_an_index_that_finds_nothing(
    words: WordEncoder, tmp_path: Path, shelf: Bm25Store
) -> None:
    """A corpus of signs is no error, also when it is opened again."""
    index = index_of(tmp_path, words, [Article("…", "😀 🎉", "s")])
    for _ in range(2):
        assert titles(shelf.open(index), index, "anything") == []


def test_it_is_made_once_and_opened_from_the_disk(index: PassageIndex, shelf: Bm25Store, heard: list[str]) -> None:
    """The second time nothing is built, and the arrays are memory-mapped."""
    first = titles(shelf.open(index), index, "city")
    assert len(heard) == 1 and "making BM25" in heard[0]
    again = shelf.open(index)
    assert titles(again, index, "city") == first and len(heard) == 1
    assert again is not None and isinstance(again.bm25.scores["data"], np.memmap)


@pytest.mark.parametrize("name", ["lexical.json", "data.csc.index.npy", "vocab.index.json", "params.index.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_what_is_damaged_is_made_again(
    index: PassageIndex, shelf: Bm25Store, heard: list[str], name: str, damage: str
) -> None:
    """With a word that says which file."""
    shelf.open(index)
    path = place(shelf, index) / name
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data[:-9] + b"x" + data[-8:])
    assert titles(shelf.open(index), index, "oxygen") == ["Oxygen"]
    assert any("made again" in word and index.manifest.version in word for word in heard[1:])
    assert path.read_bytes() == data


def test_bm25_of_other_passages_is_never_used(
    words: WordEncoder, index: PassageIndex, shelf: Bm25Store, heard: list[str], tmp_path: Path
) -> None:
    """A folder that belongs to another version, copied to this one's name, is made again."""
    other = index_of(tmp_path, words, articles({"Iron": "Iron is a metal."}), "other")
    shelf.open(other)
    place(shelf, other).rename(place(shelf, index))
    assert titles(shelf.open(index), index, "iron") == []
    assert any("other passages" in word for word in heard)


def test_after_a_change_it_fits_exactly_the_passages_that_are_left(
    words: WordEncoder, index: PassageIndex, shelf: Bm25Store, tmp_path: Path
) -> None:
    """Of what is deleted no word is found, of what is added each; the version before keeps its own."""
    shelf.open(index)
    iron = next(split_article(Article("Iron", "Iron is a metal of every city.", "s")))
    manifest = amend_index(
        tmp_path,
        index.manifest.version,
        add=[iron],
        vectors=[words.encode(["iron"])],
        delete=[next(one.id for one in index.passages if one.title == "Canberra")],
    )
    changed = IndexVersions(tmp_path).open(manifest.version, words.identity)
    assert set(titles(shelf.open(changed), changed, "city")) == {"Iron", "São Paulo"}
    assert titles(shelf.open(changed), changed, "Australia") == []
    assert titles(shelf.open(changed), changed, "metals") == ["Iron"]
    assert titles(shelf.open(index), index, "Australia") == ["Canberra"]
    hits = Retriever(changed, words, shelf.open(changed)).search("metals", 10, "hybrid")
    assert {hit.passage.title for hit in hits} == {one.title for one in changed.passages} and len(hits) == 6
    assert Retriever(changed, words).search("metals", 1, "bm25")[0].passage == iron


def test_another_way_of_making_it_makes_it_again(
    index: PassageIndex, shelf: Bm25Store, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a release with other terms made is not read by this one."""
    shelf.open(index)
    monkeypatch.setattr(bm25_store, "_FORMAT", 99)
    shelf.open(index)
    assert sum("making BM25" in word for word in heard) == 2


def test_what_dead_builders_and_deleted_versions_left_is_swept(index: PassageIndex, shelf: Bm25Store) -> None:
    """When something is built; what belongs to versions that are there stays."""
    shelf.open(index)
    for name in (".gone.1234.tmp", "deleted-00000000"):
        (shelf.directory / name).mkdir()
    (place(shelf, index) / "lexical.json").unlink()
    shelf.open(index)
    assert {path.name for path in shelf.directory.iterdir() if path.is_dir()} == {index.manifest.version}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_disk_is_no_obstacle(index: PassageIndex, shelf: Bm25Store, tmp_path: Path) -> None:
    """BM25 is held in memory."""
    tmp_path.chmod(0o555)
    try:
        assert titles(shelf.open(index), index, "oxygen") == ["Oxygen"]
    finally:
        tmp_path.chmod(0o755)


def test_a_place_that_cannot_be_written_is_told(
    index: PassageIndex, shelf: Bm25Store, heard: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small index is held in memory; of a large one search is dense only, and somebody hears it."""
    (tmp_path / SHELF).write_text("a file where the folder should be")
    assert titles(shelf.open(index), index, "oxygen") == ["Oxygen"]
    assert "held in memory" in heard[-1]
    monkeypatch.setattr(bm25_store, "IN_MEMORY", 3)
    assert shelf.open(index) is None
    assert "search is dense only" in heard[-1]


def test_a_disk_that_fills_up_while_it_is_written_leaves_nothing_half(
    index: PassageIndex, shelf: Bm25Store, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is not there afterwards, and words are found all the same."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bm25_store, "_write", full)
    assert titles(shelf.open(index), index, "oxygen") == ["Oxygen"]
    assert "No space left" in heard[-1]
    assert [path.name for path in shelf.directory.iterdir() if path.is_dir()] == []


def test_the_card_says_what_it_is_of(index: PassageIndex, shelf: Bm25Store) -> None:
    """A key, and a digest of each file beside it."""
    shelf.open(index)
    folder = place(shelf, index)
    card = json.loads((folder / "lexical.json").read_text())
    assert card["key"] == bm25_store.lexical_key(index)
    assert set(card["files"]) == {path.name for path in folder.iterdir()} - {"lexical.json"}

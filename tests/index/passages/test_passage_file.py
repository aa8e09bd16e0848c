from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.errors import IndexMismatch, IndexStorageError
from index.passages import id_table, writer
from index.passages.passage import Article, Split, split_articles
from index.passages.passage_file import PASSAGE_FILES, PassageFile
from index.passages.writer import read_split, write_passages


def articles(count: int = 200) -> list[Article]:
    """Some empty, many of the same title, words of several bytes."""
    draw = random.Random(1)
    return [Article(f"T {draw.randrange(count // 2)}", "wörd " * draw.randrange(40), "s") for _ in range(count)]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return write_passages(articles(), tmp_path / "cut", words=10)


def test_a_stream_is_cut_as_a_list_is(split: Split) -> None:
    """The same passages in the same order, and the same counts of what was left out."""
    whole = split_articles(articles(), words=10)
    assert tuple(split.passages) == whole.passages and whole.duplicates > 50 and whole.empty > 1
    assert (split.articles, split.empty, split.duplicates) == (whole.articles, whole.empty, whole.duplicates)


def test_duplicates_are_found_across_sorted_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting in pieces much smaller than the corpus changes nothing: rows, ids, columns."""
    monkeypatch.setattr(id_table, "RUN", 50)
    monkeypatch.setattr(writer, "_BATCH", 7)
    monkeypatch.setattr(writer, "_STREAM", 64)
    small = write_passages(iter(articles()), tmp_path / "small", words=10)
    monkeypatch.undo()
    write_passages(articles(), tmp_path / "large", words=10)
    assert len(small.passages) > 100
    for name in PASSAGE_FILES:
        assert (tmp_path / "small" / name).read_bytes() == (tmp_path / "large" / name).read_bytes()


def test_every_passage_is_found_by_row_and_by_id(split: Split) -> None:
    """Also backwards, by slices, and not by an id that there is not."""
    passages = split.passages
    assert isinstance(passages, PassageFile)
    assert [passages.row_of(one.id) for one in passages] == list(range(len(passages)))
    assert passages[-1] == list(passages)[-1] and list(passages[3:6]) == [passages[n] for n in (3, 4, 5)]
    assert passages.row_of("p_000000000000") is None and passages.row_of("") is None
    with pytest.raises(IndexError):
        passages[len(passages)]


def test_several_threads_read_one_file(split: Split) -> None:
    """Each gets what stands there."""
    expected, wrong = list(split.passages), []

    def read(seed: int) -> None:
        draw = random.Random(seed)
        for row in (draw.randrange(len(expected)) for _ in range(300)):
            wrong.extend([row] if split.passages[row] != expected[row] else [])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_corpus_without_text_has_no_passages(tmp_path: Path) -> None:
    """Empty articles are counted, and the sequence is empty."""
    split = write_passages([Article("A", " ", "s")], tmp_path)
    assert (len(split.passages), list(split.passages), split.empty) == (0, [], 1)


def test_a_finished_cut_is_found_again_and_an_unfinished_one_is_not(tmp_path: Path) -> None:
    """What a killed process left counts for nothing."""
    written = write_passages(articles(), tmp_path, words=10)
    again = read_split(tmp_path)
    assert again and tuple(again.passages) == tuple(written.passages) and again.duplicates == written.duplicates

    def failing() -> Iterator[Article]:
        yield articles()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_passages(failing(), tmp_path)
    assert read_split(tmp_path) is None and read_split(tmp_path / "absent") is None


def test_a_lone_file_of_lines_is_read(split: Split, tmp_path: Path) -> None:
    """As earlier releases wrote it: rows, ids and all."""
    (tmp_path / "passages.jsonl").write_bytes((tmp_path / "cut" / "passages.jsonl").read_bytes())
    alone = PassageFile.open(tmp_path)
    assert isinstance(split.passages, PassageFile)
    assert list(alone) == list(split.passages) and alone.titles.tolist() == split.passages.titles.tolist()
    assert alone.row_of(alone[7].id) == 7


@pytest.mark.parametrize("name", PASSAGE_FILES)
def test_a_missing_or_truncated_file_is_named(split: Split, tmp_path: Path, name: str) -> None:
    """Never an answer from files that do not fit each other."""
    path = tmp_path / "cut" / name
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(IndexMismatch, match="bytes"):
        PassageFile.open(tmp_path / "cut")
    path.unlink()
    with pytest.raises(IndexMismatch, match=f"{name}: the file is missing"):
        PassageFile.open(tmp_path / "cut")


def test_a_file_that_is_removed_stays_readable(split: Split, tmp_path: Path) -> None:
    """What is mapped is there until the last reader lets go."""
    for name in PASSAGE_FILES:
        (tmp_path / "cut" / name).unlink()
    assert len(list(split.passages)) == len(split.passages) and split.passages[0].title


def test_a_disk_that_takes_nothing_is_a_storage_error(tmp_path: Path) -> None:
    """The error names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexStorageError, match="file"):
        write_passages(articles(), tmp_path / "file")

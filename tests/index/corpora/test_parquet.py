from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.corpora.corpus import open_corpus
from index.corpora.parquet import read_parquet
from index.corpora.skips import Skips
from index.errors import CorpusError


def written(tmp_path: Path, columns: dict[str, Any], name: str = "x.parquet", **options: Any) -> Path:
    pq.write_table(pa.table(columns), tmp_path / name, **options)
    return tmp_path / name


def refusal(path: Path) -> str:
    with pytest.raises(CorpusError) as caught:
        list(read_parquet(path))
    assert caught.value.path == path
    return str(caught.value)


def test_rows_become_articles_in_order(tmp_path: Path) -> None:
    """As the hub's wikimedia/wikipedia has them: id, url, title, text; over row groups, further columns not read."""
    numbers = range(700)
    columns = {
        "id": [str(n) for n in numbers],
        "url": [f"https://w/{n}" for n in numbers],
        "title": [f"T{n}" for n in numbers],
        "text": [f"text {n}" for n in numbers],
        "vector": [[0.0]] * 700,
    }
    articles = list(read_parquet(written(tmp_path, columns, row_group_size=300)))
    assert [article.source for article in articles] == columns["url"]
    assert (articles[699].title, articles[699].text) == ("T699", "text 699")


def test_the_source_without_an_address(tmp_path: Path) -> None:
    """It is the file, with the id where there is one, a number too."""
    path = written(tmp_path, {"title": ["A", "B"], "text": ["a", "b"], "id": [1, None], "url": [None, ""]})
    assert [article.source for article in read_parquet(path)] == ["x.parquet#1", "x.parquet"]
    assert [a.source for a in read_parquet(written(tmp_path, {"title": ["A"], "text": ["a"]}))] == ["x.parquet"]


def test_nulls_are_counted(tmp_path: Path) -> None:
    """Rows without title or text are left out; empty texts are passed on."""
    skipped = Skips()
    path = written(tmp_path, {"title": ["A", None, "C"], "text": [None, "b", ""]})
    assert [article.title for article in read_parquet(path, skipped)] == ["C"]
    assert skipped.counts == {"entries whose title or text is null": 2}


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_every_kind_of_text_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    """Large, viewed and dictionary texts are texts."""
    path = written(tmp_path, {"title": pa.array(["A"]).cast(kind), "text": ["a"]})
    assert [article.title for article in read_parquet(path)] == ["A"]


def test_columns_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """A missing column with those there are, a type that is no text with the type."""
    assert '"text" is missing; there are: title, body' in refusal(written(tmp_path, {"title": ["A"], "body": ["a"]}))
    assert 'column "title": it is of type int64' in refusal(written(tmp_path, {"title": [1], "text": ["a"]}))
    assert 'column "text": it is of type list' in refusal(written(tmp_path, {"title": ["A"], "text": [["a"]]}))
    assert 'column "id": it is of type double' in refusal(
        written(tmp_path, {"title": ["A"], "text": ["a"], "id": [0.5]})
    )


def test_damaged_files_are_named(tmp_path: Path) -> None:
    """Cut short, no parquet, empty, not there, or with a page that does not match its checksum."""
    columns = {"title": [f"T{n}" for n in range(2000)], "text": [f"word {n}" for n in range(2000)]}
    path = written(tmp_path, columns, write_page_checksum=True, row_group_size=500)
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"not parquet at all", b""):
        path.write_bytes(broken)
        assert "not parquet, or cut short" in refusal(path)
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 64]) + data[middle + 64 :])
    assert re.search(r"after row [1-9]\d*: the data is damaged: .*checksum", refusal(path))
    assert "No such file" in refusal(tmp_path / "absent.parquet")


def test_texts_that_cannot_be_indexed_are_named(tmp_path: Path) -> None:
    """NUL, and bytes that are no UTF-8, which parquet lets through."""
    assert 'row 2: "text" holds a NUL character' in refusal(
        written(tmp_path, {"title": ["A"] * 2, "text": ["a", "\0"]})
    )
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    assert "the data is damaged" in refusal(written(tmp_path, {"title": ["A"], "text": text}))


def test_a_folder_of_shards(tmp_path: Path) -> None:
    """Shards are read in the order of their names, in folders too."""
    (tmp_path / "en").mkdir()
    for shard in ("en/train-00001-of-00002.parquet", "en/train-00000-of-00002.parquet"):
        written(tmp_path, {"title": [shard], "text": ["a"]}, shard)
    assert [article.source for article in open_corpus(tmp_path)[1]] == [
        "en/train-00000-of-00002.parquet",
        "en/train-00001-of-00002.parquet",
    ]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Ten times the rows, in one row group, take no more memory, neither Python's nor Arrow's."""
    peaks = []
    for count in (500, 5_000):
        texts = [f"{n} " * 500 for n in range(count)]
        path = written(tmp_path, {"title": ["A"] * count, "text": texts}, use_dictionary=False, data_page_size=1 << 16)
        del texts
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        try:
            arrow = max(pa.total_allocated_bytes() - before for _ in read_parquet(path))
            peaks.append(arrow + tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4_000_000  # of 12 MB of text

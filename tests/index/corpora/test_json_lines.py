from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from index.corpora.json_lines import read_jsonl
from index.corpora.skips import Skips
from index.errors import CorpusError


def written(tmp_path: Path, data: bytes | str, name: str = "x.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_the_source_is_the_address_or_the_file_and_the_id(tmp_path: Path) -> None:
    """So articles of one title in one file are told apart; further fields do not matter."""
    lines = [
        '{"title": "A", "text": "a", "url": "https://a", "id": 1}',
        '{"title": "A", "text": "a", "id": 1, "views": [3]}',
        '{"title": "A", "text": "a", "id": "x", "url": null}',
        '{"title": "A", "text": "a", "id": null, "url": ""}',
    ]
    sources = [article.source for article in read_jsonl(written(tmp_path, "\n".join(lines)))]
    assert sources == ["https://a", "x.jsonl#1", "x.jsonl#x", "x.jsonl"]


def test_nulls_are_counted(tmp_path: Path) -> None:
    """A line without title or text is left out; an empty text is passed on."""
    lines = '{"title": null, "text": "a"}\n{"title": "B", "text": null}\n{"title": "C", "text": ""}\n'
    skipped = Skips()
    assert [article.title for article in read_jsonl(written(tmp_path, lines), skipped)] == ["C"]
    assert skipped.counts == {"entries whose title or text is null": 2}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"title": "A", "text": "\xff"}', "not valid UTF-8"),
        (b'{"title": "A", "text": "\\ud800"}', '"text" holds half a character'),
        (b'{"title": "A", "text": "a\\u0000"}', '"text" holds a NUL character'),
        (b'{"title": "A", "text": "a\0"}', "broken JSON: Invalid control character"),
        (b'{"title": "A", "text": "a", "id": {}}', '"id" is neither'),
        (b'{"title": "A", "text": "a", "url": "\\udfff"}', '"url" holds half'),
        (b'{"title": "A", "text": "a", "id": "\\udfff"}', '"id" holds half'),
        (b'{"title": ["A"], "text": "a"}', '"title" is not a text'),
        (b'{"text": "a"}', 'the field "title" is missing'),
        (b'{"title": "A", "text": "a", "n": 1' + b"0" * 5000 + b"}", "broken JSON"),
        (b"[" * 100_000, "broken JSON"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: bytes, why: str) -> None:
    """Line 2 of the file, whatever is wrong with it."""
    with pytest.raises(CorpusError, match="line 2") as caught:
        list(read_jsonl(written(tmp_path, b'{"title": "A", "text": "a"}\n' + line)))
    assert why in caught.value.why


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that would fill the memory is not read to its end."""
    monkeypatch.setattr("index.corpora.streams.LONGEST_LINE", 1 << 20)
    path = written(tmp_path, b'{"title": "A", "text": "a"}\n{"title": "' + b"a" * (1 << 21))
    with pytest.raises(CorpusError, match="line 2: the line is longer than 1 MiB"):
        list(read_jsonl(path))


def test_a_packed_file_cut_short_gives_its_good_lines(tmp_path: Path) -> None:
    """Then the error says how many there were."""
    data = gzip.compress("".join(f'{{"title": "{n}", "text": "a"}}\n' for n in range(20_000)).encode())
    articles = read_jsonl(written(tmp_path, data[: len(data) // 2], "x.jsonl.gz"))
    assert next(articles).title == "0"
    with pytest.raises(CorpusError, match=r"after line \d+: the compressed data is cut short"):
        list(articles)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Ten times the lines take no more memory."""
    peaks = []
    for count in (500, 5_000):
        path = written(tmp_path, '{"title": "A", "text": "some text"}\n' * count)
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_jsonl(path)) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000

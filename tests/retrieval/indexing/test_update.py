from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.errors import IndexMismatch, UnknownIndex
from index.passages.passage import Passage
from index.versions.registry import IndexVersions
from retrieval.indexing.builder import build_source_index
from retrieval.indexing.corpus_cache import CorpusSource
from retrieval.indexing.update import place_of, update_index
from retrieval.search.retriever import Retriever
from tests.retrieval.conftest import WordEncoder


def write(path: Path, texts: dict[str, str], host: str | None = None) -> CorpusSource:
    """A corpus of one JSON line for each title."""
    lines = [
        {"title": title, "text": text, **({"url": f"https://{host}/{title}"} if host else {})}
        for title, text in texts.items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return CorpusSource(path)


def passages(root: Path, version: str, encoder: WordEncoder) -> dict[str, str]:
    """Texts by title and start."""
    found: list[Passage] = list(IndexVersions(root).open(version, encoder.identity).passages)
    return {f"{passage.title}/{passage.start}": passage.text for passage in found}


def texts(root: Path, version: str, encoder: WordEncoder) -> list[str]:
    return sorted(passage.text for passage in IndexVersions(root).open(version, encoder.identity).passages)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "indexes"


def test_only_what_changed_is_embedded(words: WordEncoder, root: Path, tmp_path: Path) -> None:
    """New, changed and vanished articles are found; the version that was stays as it was; nothing old is found."""
    first = build_source_index(root, write(tmp_path / "a.jsonl", {"A": "one", "B": "two", "C": "three"}), words)
    words.encoded = 0
    source = write(tmp_path / "a.jsonl", {"A": "one", "B": "zwei", "D": "four"})
    updated = update_index(root, first.manifest.version, source, words)
    assert (updated.added, updated.deleted, updated.embedded, words.encoded) == (2, 1, 2, 2)
    assert passages(root, updated.manifest.version, words) == {"A/0": "one", "B/0": "zwei", "D/0": "four"}
    assert passages(root, first.manifest.version, words) == {"A/0": "one", "B/0": "two", "C/0": "three"}
    retriever = Retriever(IndexVersions(root).open(updated.manifest.version, words.identity), words)
    hits = retriever.search("C. three two", 3)
    assert {hit.passage.text for hit in hits} == {"one", "zwei", "four"}


def test_an_article_that_became_shorter_leaves_nothing_behind(words: WordEncoder, root: Path, tmp_path: Path) -> None:
    """Its later passages are deleted even when articles that are missing stay."""
    first = build_source_index(root, write(tmp_path / "a.jsonl", {"A": "long " * 250, "B": "two"}), words)
    source = write(tmp_path / "a.jsonl", {"A": ("long " * 100).strip()})
    updated = update_index(root, first.manifest.version, source, words, delete_missing=False)
    assert sorted(passages(root, updated.manifest.version, words)) == ["A/0", "B/0"]
    assert (updated.added, updated.deleted) == (0, 2)


def test_articles_of_elsewhere_stay(words: WordEncoder, root: Path, tmp_path: Path) -> None:
    """A version of two wikis and a folder is updated with one of the wikis."""
    version = build_source_index(root, write(tmp_path / "en.jsonl", {"A": "1", "B": "2"}, "en.org"), words).manifest
    for source in (write(tmp_path / "de.jsonl", {"A": "eins"}, "de.org"), write(tmp_path / "x.jsonl", {"X": "file"})):
        version = update_index(root, version.version, source, words, delete_missing=False).manifest
    updated = update_index(root, version.version, write(tmp_path / "en.jsonl", {"A": "1"}, "en.org"), words)
    assert texts(root, updated.manifest.version, words) == ["1", "eins", "file"]
    assert updated.deleted == 1


def test_nothing_new_makes_no_version(words: WordEncoder, root: Path, tmp_path: Path) -> None:
    """The same corpus gives the same version."""
    source = write(tmp_path / "a.jsonl", {"A": "one"})
    first = build_source_index(root, source, words)
    updated = update_index(root, first.manifest.version, source, words)
    assert (updated.manifest, updated.added, updated.deleted) == (first.manifest, 0, 0)


def test_another_encoder_and_another_version_are_refused(words: WordEncoder, root: Path, tmp_path: Path) -> None:
    """Before anything is read or embedded."""
    source = write(tmp_path / "a.jsonl", {"A": "one"})
    first = build_source_index(root, source, words)
    other = WordEncoder(digest="dd" * 32)
    with pytest.raises(IndexMismatch, match="built with the encoder"):
        update_index(root, first.manifest.version, source, other)
    with pytest.raises(UnknownIndex, match="nothing-00000000"):
        update_index(root, "nothing-00000000", source, words)
    assert other.encoded == 0


@pytest.mark.parametrize(
    ("source", "place"),
    [("https://en.org/A", "en.org"), ("notes/a.md", ""), ("http://[x", ""), ("C:\\a.md", ""), ("", "")],
)
def test_a_source_is_of_a_host_or_a_file(source: str, place: str) -> None:
    """What is no address is a file."""
    assert place_of(source) == place

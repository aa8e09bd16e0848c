from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.corpora import Corpus
from index.errors import CorpusError
from index.passages import Article
from index.versions import IndexVersions
from retrieval.encoder import Encoder
from retrieval.library import build_corpus_index, build_summaries_index
from retrieval.retriever import Retriever
from tests.retrieval.conftest import WordEncoder

CORPUS = Corpus("tiny", "made up", "CC0")


def articles(count: int) -> list[Article]:
    return [Article(f"Title {n}", f"text of number {n}", "made up") for n in range(count)]


@pytest.fixture
def summaries(tmp_path: Path) -> Path:
    """Three summaries, one of them empty."""
    extracts = {"Canberra": "The capital of Australia.", "Oxygen": "An element.", "Nothing": ""}
    path = tmp_path / "summaries.json"
    path.write_text(json.dumps({title: {"title": title, "extract": text} for title, text in extracts.items()}))
    return path


def test_the_installed_summaries_are_ready_in_seconds(encoder: Encoder, tmp_path: Path) -> None:
    """From the wheels' files to an active index that answers, without embedding more than a sample."""
    heard: list[tuple[int, int]] = []
    manifest = build_summaries_index(tmp_path, encoder, lambda *step: heard.append(step))
    assert manifest.passages == 12_324 and manifest.recipe.precision == "int8" and heard == [(12_324, 12_324)]
    versions = IndexVersions(tmp_path)
    assert versions.active() == manifest.version
    retriever = Retriever(versions.open(manifest.version, encoder.identity), encoder)
    assert retriever.search("Which element has the symbol O?", 1)[0].passage.title == "Oxygen"
    assert build_summaries_index(tmp_path, encoder) == manifest


def test_other_summaries_are_embedded(words: WordEncoder, summaries: Path, tmp_path: Path) -> None:
    """Shipped vectors are of no use then; the empty article is counted; the second time nothing is embedded."""
    root = tmp_path / "indexes"
    manifest = build_summaries_index(root, words, summaries=summaries)
    assert (manifest.passages, manifest.skipped_empty, manifest.recipe.precision) == (2, 1, "float16")
    assert words.encoded == 2
    assert build_summaries_index(root, words, summaries=summaries) == manifest and words.encoded == 2


def test_a_lost_index_is_rebuilt_from_its_shards(words: WordEncoder, summaries: Path, tmp_path: Path) -> None:
    """A damaged version is made whole again without embedding again."""
    root = tmp_path / "indexes"
    manifest = build_summaries_index(root, words, summaries=summaries)
    (root / manifest.version / "passages.jsonl").write_bytes(b"")
    build_summaries_index(root, words, summaries=summaries)
    assert words.encoded == 2 and IndexVersions(root).open(manifest.version, words.identity)


def test_the_first_version_becomes_active_and_stays_it(words: WordEncoder, tmp_path: Path) -> None:
    """Building another corpus does not change what is served; a pointer to a version that is gone is mended."""
    first = build_corpus_index(tmp_path, CORPUS, articles(5), words).version
    second = build_corpus_index(tmp_path, CORPUS, articles(6), words).version
    versions = IndexVersions(tmp_path)
    assert versions.active() == first != second
    (tmp_path / "active").write_text("gone-00000000\n")
    build_corpus_index(tmp_path, CORPUS, articles(6), words)
    assert versions.active() == second


def test_a_corpus_without_text_is_refused(words: WordEncoder, tmp_path: Path) -> None:
    """The error counts the empty articles."""
    with pytest.raises(CorpusError, match=r"tiny: there is no text in it \(2 empty articles\)"):
        build_corpus_index(tmp_path, CORPUS, [Article("A", "", "s"), Article("B", " ", "s")], words)
    assert IndexVersions(tmp_path).list() == ()

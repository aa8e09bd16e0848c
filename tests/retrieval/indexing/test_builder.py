from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from index.corpora.corpus import Corpus
from index.errors import CorpusError, IndexingError
from index.passages.passage import Article
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.indexing.builder import build_source_index, build_summaries_index
from retrieval.indexing.corpus_cache import CorpusSource
from retrieval.search.retriever import Retriever
from tests.retrieval.conftest import WordEncoder
from tests.retrieval.searched import build_corpus_index

PROJECT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.retrieval.conftest import WordEncoder
from retrieval.indexing.builder import build_source_index
from retrieval.indexing.corpus_cache import CorpusSource

def watch(stage, done, total):
    if stage == sys.argv[3] and done >= 1500:
        os.kill(os.getpid(), signal.SIGKILL)

build_source_index(Path(sys.argv[1]), CorpusSource(Path(sys.argv[2])), WordEncoder(), watch=watch)
"""
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


def test_a_pointer_to_a_damaged_manifest_is_mended_by_building(words: WordEncoder, tmp_path: Path) -> None:
    """The finished version becomes active; without another build nothing else would point anywhere that opens."""
    damaged = build_corpus_index(tmp_path, CORPUS, articles(3), words).version
    (tmp_path / damaged / "manifest.json").write_text("{")
    built = build_corpus_index(tmp_path, CORPUS, articles(4), words).version
    assert IndexVersions(tmp_path).active() == built != damaged
    assert IndexVersions(tmp_path).open(built, words.identity)


def test_a_corpus_without_text_is_refused(words: WordEncoder, tmp_path: Path) -> None:
    """The error counts the empty articles."""
    with pytest.raises(CorpusError, match=r"tiny: there is no text in it \(2 empty articles\)"):
        build_corpus_index(tmp_path, CORPUS, [Article("A", "", "s"), Article("B", " ", "s")], words)
    assert IndexVersions(tmp_path).list() == ()


def lines(path: Path, texts: Mapping[str, str | None]) -> CorpusSource:
    path.write_text("".join(json.dumps({"title": title, "text": text}) + "\n" for title, text in texts.items()))
    return CorpusSource(path)


def test_a_version_says_what_was_left_out(words: WordEncoder, tmp_path: Path) -> None:
    """Empty articles, repeated passages, and what the reader skipped, by reason."""
    source = lines(tmp_path / "a.jsonl", {"A": "one", "B": "", "C": None})
    with source.path.open("a") as file:
        file.write('{"title": "A", "text": "one"}\n')
    version = build_source_index(tmp_path / "indexes", source, words).manifest.version
    manifest = IndexVersions(tmp_path / "indexes").manifest(version)
    assert (manifest.passages, manifest.skipped_empty, manifest.skipped_duplicates) == (1, 1, 1)
    assert manifest.skipped == {"entries whose title or text is null": 1}


def test_what_another_version_holds_is_not_embedded_again(words: WordEncoder, tmp_path: Path) -> None:
    """Same id and same text: the vector is taken; a changed text, or another encoder, is embedded."""
    root, texts = tmp_path / "indexes", {f"T{n}": f"text {n}" for n in range(20)}
    build_source_index(root, lines(tmp_path / "a.jsonl", texts), words)
    words.encoded = 0
    built = build_source_index(root, lines(tmp_path / "a.jsonl", {**texts, "T3": "other", "New": "new"}), words)
    assert (built.embedded, built.known, words.encoded) == (2, 19, 2)
    index = IndexVersions(root).open(built.manifest.version, words.identity)
    wanted = words.encode([f"{passage.title}. {passage.text}" for passage in index.passages])
    assert np.sum(index.vectors_of(range(21)) * wanted, axis=1).min() > 0.9999
    other = WordEncoder(digest="dd" * 32)
    assert build_source_index(root, CorpusSource(tmp_path / "a.jsonl"), other).embedded == 21


def test_an_index_type_that_cannot_be_is_refused_before_embedding(words: WordEncoder, tmp_path: Path) -> None:
    """Product quantisation is not trained on three vectors, and nobody waits hours to hear so."""
    with pytest.raises(IndexingError, match="ivfpq"):
        build_source_index(tmp_path / "indexes", lines(tmp_path / "a.jsonl", {"A": "one"}), words, "ivfpq")
    assert words.encoded == 0 and IndexVersions(tmp_path / "indexes").list() == ()


def test_a_corpus_that_changes_is_read_again(words: WordEncoder, tmp_path: Path) -> None:
    """What an interrupted build has read counts only while no file of it has changed."""
    root, folder = tmp_path / "indexes", tmp_path / "folder"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\none")
    stamp = CorpusSource(folder).stamp()
    (folder / "b.md").write_text("# B\n\ntwo")
    assert CorpusSource(folder).stamp() != stamp
    assert build_source_index(root, CorpusSource(folder), words).manifest.passages == 2
    assert list((root / ".passages").iterdir()) == []


def test_a_broken_corpus_leaves_nothing_on_the_disk(words: WordEncoder, tmp_path: Path) -> None:
    """What was read of it cannot be taken up; what a killed reader left goes with the next build of another corpus."""
    root, path = tmp_path / "indexes", tmp_path / "a.jsonl"
    path.write_text('{"title": "A", "text": "a"}\n{"title": "B"')
    with pytest.raises(CorpusError, match="line 2"):
        build_source_index(root, CorpusSource(path), words)
    assert list((root / ".passages").iterdir()) == []
    (root / ".passages" / "0123456789abcdef").mkdir()
    assert build_source_index(root, lines(path, {"A": "one"}), words).embedded == 1
    assert list((root / ".passages").iterdir()) == []


@pytest.mark.parametrize("stage", ["reading", "embedding", "indexing"])
def test_a_killed_build_goes_on_and_gives_the_same(words: WordEncoder, tmp_path: Path, stage: str) -> None:
    """After kill -9 in any stage the same call gives, byte for byte, the version of a build without a kill."""
    source = lines(tmp_path / "a.jsonl", {f"T{n}": f"text {n}" for n in range(2600)})
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(source.path), stage]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
    assert IndexVersions(tmp_path / "killed").list() == ()
    built = build_source_index(tmp_path / "killed", source, words)
    assert words.encoded == {"reading": 2600, "embedding": 1576, "indexing": 0}[stage]
    whole = build_source_index(tmp_path / "whole", source, words)
    assert built.manifest.files == whole.manifest.files and built.manifest.version == whole.manifest.version
    assert not list((tmp_path / "killed" / ".passages").iterdir())

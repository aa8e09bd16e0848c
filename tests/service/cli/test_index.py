"""``errata index`` on a home of its own, with a tiny encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Progress, Vectors
from service.cli.main import app
from service.indexing.indexer import Indexer
from tests.index.dumps import dump, page
from tests.retrieval.conftest import WordEncoder

Errata = Callable[..., Result]


class TinyEncoder(WordEncoder):
    computes = "cpu, float32"


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> TinyEncoder:
    encoder = TinyEncoder()
    monkeypatch.setattr(Indexer, "_encoder", lambda self, device: encoder)
    return encoder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def errata(home: Path, encoder: TinyEncoder, monkeypatch: pytest.MonkeyPatch) -> Errata:
    """Runs ``errata index …`` on the home."""
    monkeypatch.setenv("ERRATA_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, ["index", *map(str, words)])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write(tmp_path / "corpus.jsonl", {"A": "one", "B": "two", "Empty": ""})


def write(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"title": title, "text": text}) + "\n" for title, text in texts.items()))
    return path


def built(result: Result) -> str:
    """The version that a command made: its name alone is on stdout."""
    assert result.exit_code == 0, result.output
    assert len(result.stdout.split()) == 1
    return result.stdout.strip()


def texts(home: Path, version: str, encoder: TinyEncoder) -> list[str]:
    return sorted(passage.text for passage in IndexVersions(home / "indexes").open(version, encoder.identity).passages)


def refused(result: Result, *words: str) -> None:
    """One line on stderr, status 1, no stack trace."""
    assert (result.exit_code, result.stdout) == (1, "")
    assert isinstance(result.exception, SystemExit)
    said = result.stderr.strip().splitlines()[-1]
    assert all(word in said for word in words), said


def test_build_tells_what_it_did_and_what_comes_next(errata: Errata, home: Path, corpus: Path) -> None:
    """Stages and counts on stderr, the version on stdout; the first version is active."""
    result = errata("build", corpus)
    version = built(result)
    assert "reading: 3 articles" in result.stderr and "embedding: 2 passages" in result.stderr
    assert "2 from 2 articles, exact" in result.stderr and "1 empty articles" in result.stderr
    assert f"errata index activate {version}" in result.stderr
    assert IndexVersions(home / "indexes").active() == version
    assert "nothing was built" in errata("build", corpus).stderr


def test_what_a_reader_assumes_is_noted(errata: Errata, tmp_path: Path) -> None:
    """A dump without <siteinfo> is built, and updated from, with a line that says what was taken instead."""
    path = tmp_path / "wiki-pages-articles.xml"
    path.write_text(dump(page("A", "one"), site=""))
    note = "note      wiki-pages-articles.xml has no <siteinfo>: it is read with MediaWiki's default namespaces"
    first = errata("build", path)
    assert note in first.stderr and "2 from" not in first.stderr
    path.write_text(dump(page("A", "one"), page("B", "two"), site=""))
    assert note in errata("update", built(first), path).stderr


def test_build_takes_type_words_and_activation(errata: Errata, home: Path, corpus: Path) -> None:
    """Each is in the manifest, or in the pointer."""
    first = built(errata("build", corpus))
    version = built(errata("build", corpus, "--type", "hnsw", "--words", "50", "--activate"))
    manifest = IndexVersions(home / "indexes").manifest(version)
    assert (manifest.type, manifest.recipe.words_per_passage) == ("hnsw", 50)
    assert IndexVersions(home / "indexes").active() == version != first


def test_what_cannot_be_built_is_told_in_a_line(errata: Errata, home: Path, corpus: Path, tmp_path: Path) -> None:
    """A missing file, broken lines, no text, a type that is not for so few passages: the active version stays."""
    version = built(errata("build", corpus))
    refused(errata("build", tmp_path / "absent.jsonl"), "absent.jsonl", "No such file")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"title": "A", "text": "a"}\n{"title": "B"')
    refused(errata("build", broken), "broken.jsonl, line 2", "broken JSON")
    refused(errata("build", write(tmp_path / "empty.jsonl", {"A": ""})), "there is no text in it")
    refused(errata("build", corpus, "--type", "ivfpq"), "ivfpq", "exact")
    refused(errata("build", corpus, "--kind", "novel"), "novel", "mediawiki")
    assert errata("build", corpus, "--type", "tree").exit_code == 2
    assert [one.manifest.version for one in IndexVersions(home / "indexes").list()] == [version]


def test_add_update_and_delete_make_versions_beside(
    errata: Errata, home: Path, corpus: Path, tmp_path: Path, encoder: TinyEncoder
) -> None:
    """Each starts from the version that is named; ``active`` names the active one, which stays active."""
    first = built(errata("build", corpus))
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "c.md").write_text("three")
    added = built(errata("add", "active", folder))
    assert texts(home, added, encoder) == ["one", "three", "two"]
    result = errata("update", first, write(corpus, {"A": "uno", "C": "tres"}))
    assert texts(home, built(result), encoder) == ["tres", "uno"]
    assert "2 passages new or changed, 1 deleted" in result.stderr
    assert texts(home, built(errata("delete", added, "--title", "A")), encoder) == ["three", "two"]
    assert texts(home, first, encoder) == ["one", "two"]
    assert IndexVersions(home / "indexes").active() == first


def test_delete_by_id_and_by_source(errata: Errata, home: Path, corpus: Path, encoder: TinyEncoder) -> None:
    """Title and source together name articles that have both; what is not there is refused, and so is nothing."""
    version = built(errata("build", corpus))
    one = next(iter(IndexVersions(home / "indexes").open(version, encoder.identity).passages))
    assert texts(home, built(errata("delete", version, "--id", one.id)), encoder) == ["two"]
    both = errata("delete", version, "--title", "B", "--source", "corpus.jsonl")
    assert texts(home, built(both), encoder) == ["one"]
    refused(errata("delete", version, "--title", "Nobody"), "Nobody")
    refused(errata("delete", version, "--source", "corpus.jsonl"), "no passage left")
    assert errata("delete", version).exit_code == 2
    refused(errata("delete", "other-00000000", "--title", "B"), "other-00000000")


def test_list_verify_and_remove(errata: Errata, home: Path, corpus: Path) -> None:
    """Damage is found and ends with status 1; the active version cannot be removed, others go with their shards."""
    assert json.loads(errata("list", "--json").stdout) == {"indexes": []}
    first = built(errata("build", corpus))
    second = built(errata("build", write(corpus, {"A": "other"})))
    assert first in errata("list").stdout and "active" in errata("list").stdout
    listed = json.loads(errata("list", "--json").stdout)["indexes"]
    assert {one["version"]: one["active"] for one in listed} == {first: True, second: False}
    assert errata("verify").exit_code == 0
    lines = home / "indexes" / second / "passages.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b"other", b"0ther"))
    result = errata("verify")
    assert result.exit_code == 1 and f"{second} is damaged" in result.stderr
    assert f"{first} is damaged" not in result.stderr
    assert errata("verify", first).exit_code == 0
    refused(errata("remove", first), "active")
    assert errata("remove", second).exit_code == 0
    assert not (home / "indexes" / second).exists() and not (home / "indexes" / ".shards" / second).exists()
    refused(errata("remove", second), second)
    (home / "indexes" / ".shards" / "given-up").mkdir(parents=True)
    assert errata("remove", "given-up").exit_code == 0 and not (home / "indexes" / ".shards" / "given-up").exists()
    refused(errata("remove", "../indexes"), "no index version")


def test_compact_merges_what_was_added(errata: Errata, home: Path, corpus: Path, encoder: TinyEncoder) -> None:
    """The passages are the same, the parts one; where there is nothing to merge, nothing is made."""
    built(errata("build", corpus))
    updated = built(errata("update", "active", write(corpus, {"A": "uno", "B": "two"})))
    compacted = built(errata("compact", updated, "--all"))
    assert len(IndexVersions(home / "indexes").manifest(compacted).segments) == 1
    assert texts(home, compacted, encoder) == ["two", "uno"]
    assert "no version was made" in errata("compact", compacted, "--all").stderr


def test_offline_activation_needs_no_server(errata: Errata, home: Path, corpus: Path) -> None:
    """The pointer is set; a version that is not there is refused, and one that would not open."""
    built(errata("build", corpus))
    second = built(errata("build", write(corpus, {"A": "other"})))
    assert errata("activate", second, "--offline").exit_code == 0
    assert IndexVersions(home / "indexes").active() == second
    refused(errata("activate", "none-00000000", "--offline"), "none-00000000")
    third = built(errata("build", write(corpus, {"A": "another"})))
    (home / "indexes" / third / "offsets.u64").write_bytes(b"")
    refused(errata("activate", third, "--offline"), "offsets.u64")
    assert IndexVersions(home / "indexes").active() == second


def test_an_interrupted_build_says_so_and_goes_on(
    errata: Errata, corpus: Path, encoder: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves no version and no stack trace, and what was read is not read again."""

    def interrupted(texts: list[str], batch_size: int = 1, progress: Progress | None = None) -> Vectors:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "encode", interrupted)
        result = errata("build", corpus)
    assert (result.exit_code, result.stdout) == (130, "")
    assert "the same command goes on" in result.stderr
    again = errata("build", corpus)
    assert built(again) and "reading" not in again.stderr


def test_a_full_disk_is_told_in_a_line(
    errata: Errata, corpus: Path, encoder: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is finished stays, and the line says so."""

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("errata.files.os.fsync", full)
        refused(errata("build", corpus), "No space left on device")
    built(errata("build", corpus))


def test_a_device_that_is_not_there_is_told_in_a_line(
    home: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read."""
    monkeypatch.setenv("ERRATA_HOME", str(home))
    refused(
        CliRunner().invoke(app, ["index", "build", str(corpus), "--device", "abacus"]), "abacus", "auto, cpu or cuda"
    )

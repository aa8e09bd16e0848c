from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import IndexStorageError
from index.passages.passage import Article, split_articles
from index.passages.writer import write_passages
from index.versions.build import build_index, find_built
from index.versions.name import version_name
from index.versions.registry import IndexVersions
from tests.index.conftest import ENCODER, RECIPE, build, split_of, unit_vectors

PROJECT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.index.conftest import RECIPE, split_of, unit_vectors
from index.versions.build import build_index

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def vectors():
    yield unit_vectors(20)[:10]
    if sys.argv[2] == "between blocks":
        die()
    yield unit_vectors(20)[10:]

if sys.argv[2] == "before the rename":
    sys.addaudithook(lambda event, arguments: event == "os.rename" and die())
if sys.argv[2] == "before the manifest":
    sys.addaudithook(lambda event, opened: event == "open" and "manifest.json" in str(opened[0]) and die())
build_index(Path(sys.argv[1]), RECIPE, split_of(20, "new"), vectors())
"""


def entries(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if not path.name.endswith(".lock")}


def test_the_manifest_says_what_it_is_made_of(root: Path) -> None:
    """Counts, skips, encoder, licence, time in UTC, and a digest for each file."""
    split = split_articles([Article("A", "a b c", "s"), Article("B", " ", "s"), Article("A", "a", "s")])
    manifest = build_index(root, RECIPE, split, [unit_vectors(1)])
    assert IndexVersions(root).manifest(manifest.version) == manifest
    assert (manifest.passages, manifest.skipped_empty, manifest.skipped_duplicates) == (1, 1, 1)
    assert manifest.recipe.corpus.licence == "CC0" and manifest.recipe.encoder == ENCODER
    assert manifest.built_at.endswith("Z") and datetime.fromisoformat(manifest.built_at).utcoffset() is not None
    assert {"index.faiss", "passages.jsonl"} < set(manifest.files) == set(manifest.sizes)
    assert (manifest.dimension, manifest.type) == (8, "exact")


def test_the_same_content_is_built_once(root: Path) -> None:
    """Building again finds the version, without looking at the vectors; other content has another name."""
    first = build(root)
    assert build_index(root, RECIPE, split_of(20), iter(())) == first == find_built(root, RECIPE, split_of(20).passages)
    assert build(root, word="other").version != first.version
    other = build_index(root, replace(RECIPE, precision="int8"), split_of(20), [unit_vectors(20)])
    assert len({first.version, other.version}) == 2 and first.version.startswith("tiny-")


def test_a_damaged_version_is_replaced(root: Path) -> None:
    """Building over a version with a damaged file makes it whole and leaves nothing else behind."""
    manifest = build(root)
    (root / manifest.version / "index.faiss").write_bytes(b"")
    assert find_built(root, RECIPE, split_of(20).passages) is None
    assert build(root).version == manifest.version
    assert IndexVersions(root).open(manifest.version, ENCODER)
    assert entries(root) == {manifest.version}


@pytest.mark.parametrize("moment", ["between blocks", "before the manifest", "before the rename"])
def test_a_killed_build_leaves_the_active_version_in_place(root: Path, moment: str) -> None:
    """kill -9: the active version opens, no half version is listed, and the next build sweeps up and succeeds."""
    versions = IndexVersions(root)
    active = build(root).version
    versions.activate(active)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(root), moment], cwd=PROJECT, check=False)
    assert killed.returncode == -9
    assert versions.open(str(versions.active()), ENCODER).manifest.version == active
    assert [one.manifest.version for one in versions.list()] == [active]
    assert any(name.startswith(".building-") for name in entries(root))
    after = build(root, word="new").version
    assert entries(root) == {"active", active, after}


def test_a_failed_build_leaves_nothing(root: Path) -> None:
    """Too few vectors, or vectors that are not normalised: an error, and the directory as before."""
    active = build(root).version
    with pytest.raises(ValueError, match="5 vectors for 6 passages"):
        build_index(root, RECIPE, split_of(6), [unit_vectors(5)])
    with pytest.raises(ValueError, match="length 1"):
        build_index(root, RECIPE, split_of(6), [unit_vectors(6) * 2])
    with pytest.raises(ValueError, match="at least one passage"):
        build_index(root, RECIPE, split_of(0), [])
    assert entries(root) == {active}


def test_a_root_that_is_no_directory_is_a_storage_error(tmp_path: Path) -> None:
    """The error names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexStorageError, match="file"):
        build(tmp_path / "file")


def test_a_corpus_name_that_leaves_the_root_is_refused(root: Path) -> None:
    """A name with a slash makes no version."""
    with pytest.raises(ValueError, match="does not make a file name"):
        build_index(root, replace(RECIPE, corpus=replace(RECIPE.corpus, name="../up")), split_of(2), [unit_vectors(2)])


def test_a_cut_on_the_disk_builds_the_same_version(root: Path, tmp_path: Path) -> None:
    """Of the same name; its files are shared, and it stays when the cut is removed."""
    split = write_passages((Article(f"Title {n}", f"word {n}", "made up") for n in range(20)), tmp_path / "cut")
    manifest = build_index(root, RECIPE, split, [unit_vectors(20)])
    assert manifest.version == version_name(RECIPE, split_of(20).passages)
    assert (tmp_path / "cut" / "ids.u64").samefile(root / manifest.version / "ids.u64")
    shutil.rmtree(tmp_path / "cut")
    assert list(IndexVersions(root).open(manifest.version, ENCODER).passages) == list(split_of(20).passages)


def test_passages_of_the_same_id_are_refused(root: Path) -> None:
    """One of them would be found under the other's vector."""
    split = split_of(5)
    with pytest.raises(ValueError, match="1 of the passages have the id of another"):
        build_index(root, RECIPE, replace(split, passages=(*split.passages[:4], split.passages[0])), [unit_vectors(5)])
    assert entries(root) == set()


@pytest.mark.parametrize(
    ("vectors", "why"),
    [
        (unit_vectors(20)[:, :4], r"shape \(n, 8\) expected, got \(20, 4\)"),
        (unit_vectors(21), "21 vectors or more for 20 passages"),
        (np.where(np.arange(20)[:, None] == 7, np.nan, unit_vectors(20)), "row 7 has the length nan"),
        (np.where(np.arange(20)[:, None] == 7, np.inf, unit_vectors(20)), "row 7 has the length inf"),
    ],
)
def test_vectors_that_do_not_belong_are_refused(root: Path, vectors: NDArray[np.float32], why: str) -> None:
    """Also in the second block; the row is named."""
    with pytest.raises(ValueError, match=why):
        build_index(root, RECIPE, split_of(20), [vectors[:5], vectors[5:]] if "shape" not in why else [vectors])
    assert entries(root) == set()


def test_two_builders_of_the_same_make_it_once(root: Path) -> None:
    """The second waits and finds it."""
    script = """
import sys
from pathlib import Path
from tests.index.conftest import build
print(build(Path(sys.argv[1])).built_at)
"""
    command = [sys.executable, "-c", script, str(root)]
    both = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {one.communicate()[0] for one in both}
    assert [one.returncode for one in both] == [0, 0] and len(printed) == 1 and len(entries(root)) == 1


@pytest.mark.parametrize(
    "call", ["index.versions.build.write_segment", "errata.files.os.fsync", "index.versions.build.publish"]
)
def test_a_full_disk_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """At the beginning, in the middle and at the end; what was there opens."""
    active = build(root).version

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(call, full)
    with pytest.raises(IndexStorageError, match="No space left"):
        build(root, word="other")
    assert entries(root) == {active} and IndexVersions(root).open(active, ENCODER)

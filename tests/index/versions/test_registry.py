from __future__ import annotations

import threading
from pathlib import Path

import pytest

from index.errors import IndexMismatch, IndexStorageError, UnknownIndex
from index.versions.registry import IndexVersions
from tests.index.conftest import ENCODER, build


def test_nothing_is_listed_before_the_first_build(root: Path) -> None:
    """An empty or missing directory has no versions and none that is active."""
    assert IndexVersions(root).list() == () and IndexVersions(root).active() is None


def test_versions_stand_side_by_side(root: Path) -> None:
    """All are listed, one is active, and an opened one goes on answering after another was activated."""
    first, second = build(root).version, build(root, word="other").version
    versions = IndexVersions(root)
    versions.activate(first)
    opened = versions.open(first, ENCODER)
    versions.activate(second)
    assert {one.manifest.version: one.active for one in versions.list()} == {first: False, second: True}
    assert versions.active() == second and opened.passages[0].text == "word 0"
    assert versions.open(second, ENCODER).passages[0].text == "other 0"


@pytest.mark.parametrize(
    "name", ["tiny-00000000", "", ".", "..", "../indexes", "a/b", ".building-x", "a" * 300, "a\0b"]
)
def test_an_unknown_version_is_unknown(root: Path, name: str) -> None:
    """No name leads out of the directory, and the pointer stays where it was."""
    active = build(root).version
    versions = IndexVersions(root)
    versions.activate(active)
    for ask in (versions.activate, versions.manifest, lambda version: versions.open(version, ENCODER)):
        with pytest.raises(UnknownIndex):
            ask(name)
    assert versions.active() == active


def test_a_version_with_a_damaged_manifest_is_not_activated(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is left out of the list with a warning, and the pointer stays."""
    active, damaged = build(root).version, build(root, word="other").version
    versions = IndexVersions(root)
    versions.activate(active)
    (root / damaged / "manifest.json").write_text("{")
    with pytest.raises(IndexMismatch):
        versions.activate(damaged)
    assert versions.active() == active
    assert [one.manifest.version for one in versions.list()] == [active]
    assert damaged in caplog.text


def test_activating_is_atomic(root: Path) -> None:
    """A reader sees the one version or the other at every moment, never none and never half a name."""
    names = [build(root).version, build(root, word="other").version]
    versions = IndexVersions(root)
    versions.activate(names[0])
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(IndexVersions(root).active())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        versions.activate(names[turn % 2])
    done.set()
    reader.join()
    assert seen <= set(names)
    assert not list(root.glob(".active*"))


def test_a_pointer_that_cannot_be_written_stays(root: Path) -> None:
    """What the disk refuses is a storage error, and no temporary file is left."""
    version = build(root).version
    (root / "active").mkdir()
    with pytest.raises(IndexStorageError, match="active"):
        IndexVersions(root).activate(version)
    assert not list(root.glob(".active*"))

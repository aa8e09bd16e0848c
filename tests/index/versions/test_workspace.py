"""Builders beside each other: none waits without need, and none sweeps up what another one still writes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from index.versions.registry import IndexVersions
from index.versions.workspace import AMENDING, BUILDING, COMPACTING, REMOVING, task_lock, workspace
from tests.index.conftest import build


def test_a_live_directory_of_another_task_is_not_swept(root: Path) -> None:
    """However old its times are: a clock that was set says nothing about who is at work."""
    with task_lock(root, AMENDING), workspace(root, AMENDING) as place:
        (place / "file").write_text("half")
        os.utime(place, (0, 0))
        first, second = build(root).version, build(root, word="other").version
        IndexVersions(root).activate(first)
        IndexVersions(root).remove(second)
        with task_lock(root, COMPACTING):
            assert (place / "file").read_text() == "half"
    assert not place.exists()


def test_what_a_dead_builder_left_is_swept(root: Path) -> None:
    """By the next one of its task, as soon as it has the lock."""
    for name in (".building-dead", ".replaced-building-dead", ".amending-dead"):
        (root / name).mkdir(parents=True)
    with task_lock(root, BUILDING):
        assert {path.name for path in root.iterdir()} == {".lock", ".amending-dead"}


def test_a_version_is_not_removed_while_another_one_is_chosen(root: Path) -> None:
    """Removing and activating wait for each other, so that the pointer never names what is gone."""
    kept, removed = build(root).version, build(root, word="other").version
    versions = IndexVersions(root)
    remover = threading.Thread(target=versions.remove, args=(removed,))
    with task_lock(root, REMOVING), workspace(root, REMOVING) as place:
        remover.start()
        remover.join(0.2)
        assert remover.is_alive() and place.exists() and (root / removed).exists()
    remover.join()
    assert [one.manifest.version for one in versions.list()] == [kept]
    assert not list(root.glob(".removing-*"))

"""Files and folders are whole under their names, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from errata.files import file_digest, replace_file, whole_file, whole_folder

PROJECT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from errata.files import whole_file, whole_folder

sys.addaudithook(lambda event, arguments: event == "os.rename" and os.kill(os.getpid(), signal.SIGKILL))
root = Path(sys.argv[1])
if sys.argv[2] == "file":
    with whole_file(root / "file") as stream:
        stream.write(b"new")
else:
    with whole_folder(root / "folder") as folder:
        (folder / "a").write_text("new")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file and a folder that hold ``old``."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    return tmp_path


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


OLD = {"file", "folder", "folder/old"}


def test_a_digest_is_that_of_the_content(root: Path) -> None:
    """sha256, as the command sha256sum prints it."""
    assert file_digest(root / "file") == hashlib.sha256(b"old").hexdigest()


def test_a_file_is_replaced_and_its_folders_are_made(root: Path) -> None:
    """Nothing else is left beside it."""
    replace_file(root / "file", b"new")
    replace_file(root / "deep" / "er" / "file", b"\x00")
    assert (root / "file").read_bytes() == b"new" and (root / "deep/er/file").read_bytes() == b"\x00"
    assert names(root) == OLD | {"deep", "deep/er", "deep/er/file"}


def test_a_file_has_its_old_content_until_it_is_whole(root: Path) -> None:
    """Also when writing it fails in the middle."""
    with whole_file(root / "file") as stream:
        stream.write(b"new")
        stream.flush()
        assert (root / "file").read_text() == "old"
    assert (root / "file").read_text() == "new"
    with pytest.raises(KeyError), whole_file(root / "file") as stream:
        stream.write(b"newer")
        raise KeyError
    assert (root / "file").read_text() == "new" and names(root) == OLD


def test_a_folder_is_replaced_with_all_that_is_in_it(root: Path) -> None:
    """Folders within it too; what it held before is gone, and nothing is left beside it."""
    with whole_folder(root / "folder") as folder:
        (folder / "a").write_text("new")
        (folder / "deep").mkdir()
        (folder / "deep" / "b").write_text("new")
        assert (root / "folder" / "old").read_text() == "old"
    assert names(root) == {"file", "folder", "folder/a", "folder/deep", "folder/deep/b"}
    with whole_folder(root / "further" / "one") as folder:
        (folder / "c").write_text("new")
    assert (root / "further" / "one" / "c").read_text() == "new"


def test_a_folder_that_fails_is_not_there(root: Path) -> None:
    """Its old content stays."""
    with pytest.raises(KeyError), whole_folder(root / "folder") as folder:
        (folder / "a").write_text("new")
        raise KeyError
    assert names(root) == OLD


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_a_file_leaves_the_old_one(root: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The error is the system's, and no temporary file stays."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], refuse)
    with pytest.raises(OSError, match="No space left"):
        replace_file(root / "file", b"new")
    assert (root / "file").read_text() == "old" and names(root) == OLD


@pytest.mark.parametrize("refused", [1, 2])
def test_a_disk_that_refuses_a_folder_leaves_the_old_one(
    root: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    """Whether it refuses to put the old one aside, or the new one in its place."""
    calls, rename = [], Path.rename

    def refuse(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == refused:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output"), whole_folder(root / "folder") as folder:
        (folder / "a").write_text("new")
    assert names(root) == OLD


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_killed_writer_leaves_what_was_there(root: Path, what: str) -> None:
    """kill -9 when everything is written but the name; what is left over begins with a full stop."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(root), what], cwd=PROJECT, check=False)
    assert killed.returncode == -9 and (root / "file").read_text() == "old"
    assert {name for name in names(root) if not name.startswith(".")} == OLD

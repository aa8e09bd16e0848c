from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from errata.files import file_digest
from index.errors import IndexMismatch
from index.vectors.vector_index import VectorIndex
from index.versions.passage_index import open_index
from index.versions.verification import check_files, verify_index
from tests.index.conftest import DIMENSION, ENCODER, build, unit_vectors


@pytest.fixture
def version(root: Path) -> Path:
    """The directory of a built version of 20 passages."""
    return root / build(root).version


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


def sign(version: Path) -> None:
    """Make the manifest's digests and sizes those of the files, as one who forges would."""
    manifest = json.loads((version / "manifest.json").read_bytes())
    manifest["files"] = {name: file_digest(version / name) for name in manifest["files"]}
    manifest["sizes"] = {name: (version / name).stat().st_size for name in manifest["files"]}
    (version / "manifest.json").write_text(json.dumps(manifest))


def refused(version: Path) -> str:
    with pytest.raises(IndexMismatch) as caught:
        open_index(version, ENCODER)
    return str(caught.value)


def test_hits_carry_passages_scores_and_ranks(version: Path) -> None:
    """A passage's own vector finds it first, with score 1; ranks count from 1."""
    index = open_index(version, ENCODER)
    for row, hits in enumerate(index.search(unit_vectors(20), 3)):
        assert hits[0].passage == index.passages[row] and hits[0].score == pytest.approx(1)
        assert [hit.rank for hit in hits] == [1, 2, 3]
        assert hits[0].score >= hits[1].score >= hits[2].score


def test_k_larger_than_the_index_gives_everything(version: Path) -> None:
    """No error, no empty places."""
    assert len(open_index(version, ENCODER).search(unit_vectors(1), 1000)[0]) == 20


def test_a_truncated_vector_file_is_refused(version: Path) -> None:
    """The error names the file and says that its content changed."""
    change(version / "index.faiss", lambda data: data[:-1])
    assert "index.faiss: its content is not what the manifest says" in refused(version)


def test_a_changed_byte_in_the_passages_is_refused(version: Path) -> None:
    """One flipped bit is enough."""
    change(version / "passages.jsonl", lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:])
    assert "passages.jsonl: its content is not what the manifest says" in refused(version)


@pytest.mark.parametrize("name", ["index.faiss", "passages.jsonl", "manifest.json"])
def test_a_missing_file_is_refused(version: Path, name: str) -> None:
    """The error names the file that is gone."""
    (version / name).unlink()
    assert f"{name}: the file is missing" in refused(version)


def test_another_encoder_is_refused(version: Path) -> None:
    """Vectors of two encoders cannot be compared, whatever their names."""
    with pytest.raises(IndexMismatch, match=r"manifest\.json: built with the encoder tiny \(abab.*not tiny \(cdcd"):
        open_index(version, replace(ENCODER, digest="cd" * 32))
    assert open_index(version, replace(ENCODER, name="the same elsewhere"))


def test_another_dimension_is_refused(version: Path) -> None:
    """The error gives both dimensions."""
    with pytest.raises(IndexMismatch, match="dimension 8, those of the encoder tiny 9"):
        open_index(version, replace(ENCODER, dimension=9))


def test_counts_are_compared_even_if_digests_hold(version: Path) -> None:
    """Files that are whole but do not fit each other are refused: fewer passages, fewer vectors, another dimension."""
    lines = (version / "passages.jsonl").read_bytes()
    change(version / "passages.jsonl", lambda data: b"".join(data.splitlines(keepends=True)[:-1]))
    sign(version)
    assert "passages.jsonl: holds 2032 bytes; its offsets say 2140" in refused(version)
    (version / "passages.jsonl").write_bytes(lines)
    VectorIndex.of([unit_vectors(21)], DIMENSION).write(version / "index.faiss")
    sign(version)
    assert "index.faiss: holds 21 entries; the manifest says 20" in refused(version)
    VectorIndex.of([np.eye(20, 4, dtype=np.float32)[:4]], 4).write(version / "index.faiss")
    sign(version)
    assert "index.faiss: vectors of dimension 4; the manifest says 8" in refused(version)


def test_a_line_that_is_no_passage_is_numbered(version: Path) -> None:
    """Also behind right digests the passages are read with care."""
    change(version / "passages.jsonl", lambda data: b"{}".ljust(data.index(b"\n")) + data[data.index(b"\n") :])
    sign(version)
    index = open_index(version, ENCODER)
    assert index.passages[1].text == "word 1"
    for ask in (lambda: index.passages[0], lambda: list(index.passages), lambda: index.search(unit_vectors(1), 20)):
        with pytest.raises(IndexMismatch, match=r"passages\.jsonl: line 1 is not a passage"):
            ask()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a manifest"),
        (b"[]", "not a manifest"),
        (b"\xff", "not a manifest"),
        (b'{"format": 3}', "its format is 3, not 2"),
        (b'{"format": 1, "recipe": {}}', "not a manifest"),
    ],
)
def test_a_damaged_manifest_is_refused(version: Path, data: bytes, why: str) -> None:
    """It is named, with what is wrong."""
    (version / "manifest.json").write_bytes(data)
    assert "manifest.json" in refused(version) and why in refused(version)


@pytest.mark.parametrize(
    ("change_one", "why"),
    [
        ({"name": "../other"}, "a segment is named '../other'|a file is in no segment|digests of"),
        ({"rows": 21}, "do not hold 20 passages"),
        ({"rows": "20"}, "TypeError"),
        ({"deleted": -1}, "not a number from 0"),
        ({"deleted": 1}, "do not hold 20 passages"),
        ({"parameters": {"m": 3}}, "has no parameter 'm'"),
        ({"more": 1}, "TypeError"),
    ],
)
def test_a_damaged_segment_record_is_refused(version: Path, change_one: dict[str, object], why: str) -> None:
    """Whatever it says, no file outside the version is read and no wrong count is believed."""
    manifest = json.loads((version / "manifest.json").read_bytes())
    manifest["segments"][0] |= change_one
    (version / "manifest.json").write_text(json.dumps(manifest))
    assert re.search(f"manifest.json: not a manifest: .*({why})", refused(version))


def test_a_file_outside_the_version_is_not_read(version: Path) -> None:
    """The manifest's paths stay within its directory."""
    manifest = json.loads((version / "manifest.json").read_bytes())
    manifest["files"]["../secret"], manifest["sizes"]["../secret"] = "00" * 32, 1
    (version / "manifest.json").write_text(json.dumps(manifest))
    assert "a file is in no segment" in refused(version)


def test_large_files_are_verified_on_demand(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening compares their sizes only; verify_index reads them all, and says which it reads."""
    monkeypatch.setattr(check_files, "__defaults__", (100,))
    change(version / "index.faiss", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    assert open_index(version, ENCODER).search(unit_vectors(1), 1)
    heard: list[str] = []
    with pytest.raises(IndexMismatch, match=r"index\.faiss: its content is not what the manifest says"):
        verify_index(version, heard.append)
    assert "index.faiss" in heard
    change(version / "index.faiss", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    assert verify_index(version).passages == 20


def test_an_index_answers_by_id_and_by_title(version: Path) -> None:
    """The passage, its row and its vector; nothing for what is not there."""
    index = open_index(version, ENCODER)
    seventh = index.passages[7]
    assert index.find(seventh.id) == seventh and index.find("p_000000000000") is None and index.find("") is None
    assert index.rows_where(titles=["Title 7", "none"]).tolist() == index.rows_of([seventh.id]).tolist() == [7]
    assert index.rows_where(titles=["Title 7"], sources=["elsewhere"]).tolist() == []
    assert index.rows_where(sources=["made up"]).tolist() == index.rows_where().tolist() == list(range(20))
    assert np.allclose(index.vectors_of([7]), unit_vectors(20)[7])


def test_several_threads_search_one_index(version: Path) -> None:
    """Each gets what it would get alone."""
    index, queries = open_index(version, ENCODER), unit_vectors(200, seed=5)
    alone = index.search(queries, 3)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: index.search(query[None], 3)[0], queries))
    assert [[hit.passage for hit in hits] for hits in together] == [[hit.passage for hit in hits] for hits in alone]


def test_less_than_one_passage_cannot_be_asked_for(version: Path) -> None:
    """Nor can a query of another width or one that is not finite."""
    index = open_index(version, ENCODER)
    for k in (0, -1):
        with pytest.raises(ValueError, match="k must be at least 1"):
            index.search(unit_vectors(1), k)
    with pytest.raises(ValueError, match=r"shape \(n, 8\)"):
        index.search(unit_vectors(1)[:, :4], 1)
    with pytest.raises(ValueError, match="finite"):
        index.search(unit_vectors(1) * np.nan, 1)


def test_a_renamed_version_is_refused(version: Path) -> None:
    """A directory's name is part of what it is."""
    other = version.rename(version.with_name("tiny-00000000"))
    assert "belongs to the version" in refused(other)


def test_an_unknown_index_type_is_refused(version: Path) -> None:
    """A version of a later release is not searched as if it were exact."""
    change(version / "manifest.json", lambda data: data.replace(b'"exact"', b'"annoy"'))
    assert "does not know the index type 'annoy'" in refused(version)

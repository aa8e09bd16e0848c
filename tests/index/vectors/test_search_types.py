from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import IndexMismatch
from index.segments.segment import Segment
from index.vectors import vector_index as vectors_module
from index.vectors.search_types import MOST_EXACT, MOST_HNSW, index_type, parameters_for
from index.vectors.vector_index import EncoderIdentity, VectorIndex
from index.versions.build import build_index, find_built
from index.versions.passage_index import PassageIndex, open_index
from tests.index.conftest import ENCODER, RECIPE, split_of, unit_vectors

ROWS = 1500


def made(root: Path, kind: str, vectors: NDArray[np.float32], encoder: EncoderIdentity = ENCODER) -> PassageIndex:
    recipe = replace(RECIPE, type=kind, encoder=encoder)
    manifest = build_index(root, recipe, split_of(len(vectors)), iter(np.array_split(vectors, 7)))
    assert manifest.type == kind
    return open_index(root / manifest.version, encoder)


@pytest.fixture(scope="module", params=["exact", "hnsw", "ivfpq"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PassageIndex:
    return made(tmp_path_factory.mktemp("root"), request.param, unit_vectors(ROWS))


@pytest.fixture(autouse=True)
def _structures_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few rows would be compared one by one."""
    monkeypatch.setattr(vectors_module, "_FEW", 100)


def _with_threads(index: PassageIndex, threads: int) -> Segment:
    (segment,) = index.segments
    return replace(segment, vectors=replace(segment.vectors, threads=threads))


def truth(queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    return rows[np.argsort(-(queries @ unit_vectors(ROWS)[rows].T), axis=1)[:, :k]]


def recall(found: NDArray[np.int64], expected: NDArray[np.int64]) -> float:
    return float(
        np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), expected.tolist(), strict=True)])
    )


def test_the_type_follows_the_number_of_passages() -> None:
    """The rule's two bounds."""
    assert [index_type(n) for n in (1, MOST_EXACT, MOST_EXACT + 1, MOST_HNSW, MOST_HNSW + 1, 21_000_000)] == [
        *("exact", "exact", "hnsw", "hnsw", "ivfpq", "ivfpq")
    ]


def test_each_type_finds_the_largest_inner_products(index: PassageIndex) -> None:
    """Recall@10 against the full product, and scores that are inner products."""
    queries = unit_vectors(50, seed=3)
    scores, rows = index.nearest(queries, 10)
    assert recall(rows, truth(queries, np.arange(ROWS), 10)) >= 0.95
    assert np.allclose(scores, np.take_along_axis(queries @ unit_vectors(ROWS).T, rows, 1), atol=2e-3)
    assert np.all(np.diff(scores, axis=1) <= 0)


@pytest.mark.parametrize("share", [0.5, 0.04, 0.002])
def test_only_allowed_rows_are_found_and_always_k_of_them(index: PassageIndex, share: float) -> None:
    """Half of the rows, few, and fewer than are asked for; as row numbers or as a mask."""
    mask = np.random.default_rng(5).random(ROWS) < share
    rows, queries = np.flatnonzero(mask), unit_vectors(20, seed=4)
    _, found = index.nearest(queries, 10, mask)
    assert found.shape == (20, min(10, len(rows))) and set(found.ravel().tolist()) <= set(rows.tolist())
    assert all(len(set(one)) == len(one) for one in found.tolist())
    assert recall(found, truth(queries, rows, 10)) >= 0.95
    assert np.array_equal(index.nearest(queries, 10, rows[::-1])[1], found)


def test_nothing_allowed_finds_nothing(index: PassageIndex) -> None:
    """An empty list for each query."""
    assert index.search(unit_vectors(2), 5, np.zeros(ROWS, np.bool_)) == [[], []]


def test_everything_can_be_asked_for(index: PassageIndex) -> None:
    """k beyond the size gives each passage once, in order."""
    scores, rows = index.nearest(unit_vectors(2, seed=9), 10**6)
    assert rows.shape == (2, ROWS) and set(rows[0].tolist()) == set(range(ROWS)) and np.all(np.diff(scores) <= 0)


def test_vectors_are_given_back(index: PassageIndex) -> None:
    """In any order, to float16 precision; rows that there are not are refused."""
    rows = np.array([1400, 3, 3])
    assert np.allclose(index.vectors_of(rows), unit_vectors(ROWS)[rows], atol=1e-3)
    assert index.vectors_of([]).shape == (0, 8)
    for wrong in ([ROWS], [-1]):
        with pytest.raises(IndexError, match="0 to 1499"):
            index.vectors_of(wrong)
        with pytest.raises(IndexError, match="0 to 1499"):
            index.nearest(unit_vectors(1), 1, np.array(wrong))
    with pytest.raises(ValueError, match=r"shape \(1500,\)"):
        index.nearest(unit_vectors(1), 1, np.ones(3, np.bool_))


@pytest.mark.parametrize("kind", ["exact", "hnsw", "ivfpq"])
def test_vectors_need_not_be_normalised_if_the_encoder_says_so(tmp_path: Path, kind: str) -> None:
    """The score is the inner product: a long vector beats a near one."""
    vectors = unit_vectors(ROWS) * np.random.default_rng(0).uniform(0.5, 2, (ROWS, 1)).astype(np.float32)
    index = made(tmp_path, kind, vectors, replace(ENCODER, normalised=False))
    queries = unit_vectors(30, seed=3)
    scores, rows = index.nearest(queries, 5)
    assert recall(rows, np.argsort(-(queries @ vectors.T), axis=1)[:, :5]) >= 0.9
    assert np.allclose(scores, np.take_along_axis(queries @ vectors.T, rows, 1), atol=5e-3)


def test_the_parameters_stand_in_the_manifest_and_can_be_chosen(tmp_path: Path) -> None:
    """What is chosen is part of the name, what is not follows from the number of passages."""
    plain, chosen = replace(RECIPE, type="ivfpq"), replace(RECIPE, type="ivfpq", parameters={"probes": 3})
    first, second = (build_index(tmp_path, one, split_of(ROWS), [unit_vectors(ROWS)]) for one in (plain, chosen))
    assert first.segments[0].parameters == {"lists": 32, "m": 1, "probes": 32, "candidates": 200}
    assert second.segments[0].parameters == {"lists": 32, "m": 1, "probes": 3, "candidates": 200}
    assert first.version != second.version and find_built(tmp_path, chosen, split_of(ROWS).passages) == second


@pytest.mark.parametrize(
    ("kind", "parameters", "why"),
    [
        ("annoy", {}, "'annoy' is no index type"),
        ("exact", {"m": 3}, "type 'exact' has no parameter 'm'"),
        ("hnsw", {"probes": 3}, "type 'hnsw' has no parameter 'probes'; it has m, ef_construction, ef_search"),
        ("hnsw", {"m": 0}, "'m' is a whole number from 1, not 0"),
        ("ivfpq", {"m": 3}, "must divide the dimension 8"),
        ("ivfpq", {"lists": 2000}, "more than the 1500 passages"),
        ("ivfpq", {"probes": 33}, "more than the 32 lists"),
    ],
)
def test_what_cannot_be_built_is_refused(tmp_path: Path, kind: str, parameters: dict[str, int], why: str) -> None:
    """Before anything is built, and the error says what is possible."""
    with pytest.raises(ValueError, match=why):
        build_index(tmp_path, replace(RECIPE, type=kind, parameters=parameters), split_of(ROWS), [])


def test_too_few_passages_for_lists_are_refused() -> None:
    """The error names the least number and what to take."""
    with pytest.raises(ValueError, match="at least 1024 passages, not 20; take 'exact'"):
        build_index(Path("unused"), replace(RECIPE, type="ivfpq"), split_of(20), [])
    assert parameters_for("ivfpq", 21_000_000, 384) == {"lists": 16384, "m": 48, "probes": 64, "candidates": 200}


def test_a_truncated_structure_is_refused(tmp_path: Path) -> None:
    """However little is missing, and also where the digest is not read."""
    version = tmp_path / made(tmp_path, "hnsw", unit_vectors(ROWS)).manifest.version
    data = (version / "index.faiss").read_bytes()
    for size in (0, 3, 100, len(data) // 2, len(data) - 1):
        (version / "index.faiss").write_bytes(data[:size])
        with pytest.raises(IndexMismatch, match=r"index\.faiss: its content is not what the manifest says"):
            open_index(version, ENCODER)
    (version / "index.faiss").write_bytes(data[:100])
    with pytest.raises(IndexMismatch, match=r"index\.faiss: FAISS cannot read it"):
        VectorIndex.read(version / "index.faiss", "hnsw")
    assert made(tmp_path, "hnsw", unit_vectors(ROWS)).nearest(unit_vectors(1), 1)[1].tolist() == [[0]]


def test_vectors_that_are_not_those_of_the_lists_are_refused(tmp_path: Path) -> None:
    """Fewer of them, and a file cut short behind its head."""
    index = made(tmp_path, "ivfpq", unit_vectors(ROWS))
    (segment,), version = index.manifest.segments, tmp_path / index.manifest.version
    fewer = faiss.IndexScalarQuantizer(8, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    fewer.add(unit_vectors(9))
    whole = (version / "vectors.faiss").read_bytes()
    (version / "vectors.faiss").unlink()
    faiss.write_index(fewer, str(version / "vectors.faiss"))
    with pytest.raises(IndexMismatch, match=r"vectors\.faiss: holds 9 vectors, the structure 1500"):
        VectorIndex.open(version, "ivfpq", segment.parameters)
    (version / "vectors.faiss").write_bytes(whole[:-100])
    with pytest.raises(IndexMismatch, match=r"vectors\.faiss: FAISS cannot read it"):
        VectorIndex.open(version, "ivfpq", segment.parameters)


def test_a_search_uses_the_threads_it_is_given(index: PassageIndex) -> None:
    """The result is the same with any number."""
    one, two = (replace(index, segments=(_with_threads(index, threads),)) for threads in (1, 2))
    queries = unit_vectors(20, seed=6)
    assert np.array_equal(one.nearest(queries, 5)[1], two.nearest(queries, 5)[1])

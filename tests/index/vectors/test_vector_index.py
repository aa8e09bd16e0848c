from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from index.errors import IndexMismatch, IndexStorageError
from index.vectors.vector_index import VectorIndex
from tests.index.conftest import DIMENSION, unit_vectors


def test_search_is_exact() -> None:
    """Rows and scores are those of the full matrix product, best first."""
    vectors, queries = unit_vectors(50), unit_vectors(7, seed=1)
    scores, rows = VectorIndex.of([vectors[:20], vectors[20:]], DIMENSION).search(queries, 5)
    product = queries @ vectors.T
    assert np.array_equal(rows, np.argsort(-product, axis=1)[:, :5])
    assert np.allclose(scores, np.take_along_axis(product, rows, axis=1), atol=1e-6)


def test_k_is_cut_to_the_size() -> None:
    """Asking for more than there is gives all there is, and no row -1."""
    scores, rows = VectorIndex.of([unit_vectors(3)], DIMENSION).search(unit_vectors(2), 10)
    assert scores.shape == rows.shape == (2, 3) and set(rows[0]) == {0, 1, 2}


def test_no_vectors_and_no_queries_are_answered_with_nothing() -> None:
    """The empty cases have the right shapes."""
    assert VectorIndex.of([], DIMENSION).search(unit_vectors(2), 4)[1].shape == (2, 0)
    assert VectorIndex.of([unit_vectors(3)], DIMENSION).search(unit_vectors(0), 2)[1].shape == (0, 2)


def test_wrong_questions_are_refused() -> None:
    """k below 1 and vectors of another dimension are errors that say so."""
    index = VectorIndex.of([unit_vectors(3)], DIMENSION)
    with pytest.raises(ValueError, match="k must be at least 1, not -1"):
        index.search(unit_vectors(1), -1)
    with pytest.raises(ValueError, match=r"shape \(n, 8\) expected, got \(1, 4\)"):
        index.search(unit_vectors(1)[:, :4], 1)


@pytest.mark.parametrize("factor", [0.5, np.nan, np.inf])
def test_only_unit_vectors_are_taken(factor: float) -> None:
    """Vectors that are not normalised, or not numbers, never get into an index."""
    with pytest.raises(ValueError, match="length 1"):
        VectorIndex.of([unit_vectors(3) * np.float32(factor)], DIMENSION)


def test_written_and_read_it_is_the_same(tmp_path: Path) -> None:
    """The file holds the index exactly."""
    index = VectorIndex.of([unit_vectors(30)], DIMENSION)
    index.write(tmp_path / "index.faiss")
    again = VectorIndex.read(tmp_path / "index.faiss")
    assert (len(again), again.dimension) == (30, DIMENSION)
    (scores, rows), (again_scores, again_rows) = index.search(unit_vectors(4), 9), again.search(unit_vectors(4), 9)
    assert np.array_equal(scores, again_scores) and np.array_equal(rows, again_rows)


@pytest.mark.parametrize("kept", [0, 3, 20, 200])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    """Wherever the file was cut, opening it names it."""
    path = tmp_path / "index.faiss"
    VectorIndex.of([unit_vectors(30)], DIMENSION).write(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IndexMismatch, match=r"index\.faiss: FAISS cannot read it"):
        VectorIndex.read(path)


def test_another_kind_of_index_is_refused(tmp_path: Path) -> None:
    """An index that measures Euclidean distance would rank wrongly, so it is not opened."""
    faiss.write_index(faiss.IndexFlatL2(DIMENSION), str(tmp_path / "index.faiss"))
    with pytest.raises(IndexMismatch, match="flat inner-product"):
        VectorIndex.read(tmp_path / "index.faiss")


def test_a_disk_that_takes_nothing_is_a_storage_error(tmp_path: Path) -> None:
    """A failed write says which file."""
    with pytest.raises(IndexStorageError, match=r"absent/index\.faiss"):
        VectorIndex.of([unit_vectors(3)], DIMENSION).write(tmp_path / "absent" / "index.faiss")

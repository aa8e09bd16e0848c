"""Building the search structure of a segment from blocks of vectors. See ``search_types`` for which and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.vectors.search_types import EXACT, HNSW, Parameters
from index.vectors.validation import checked
from index.vectors.vector_index import HALF_VECTORS_FILE, VECTORS_FILE, EncoderIdentity, VectorIndex, Vectors

_SEED = 20201
_ADDED = 1 << 14  # vectors encoded at a time
_PER_LIST = 40  # training vectors a list; FAISS asks for 39
_PER_CODE = 64  # and a code, of 256
_ROTATION_VECTORS, _ROTATION_ROUNDS = 1 << 14, 8
_LARGEST_HALF = 65504.0


def write_vectors(
    directory: Path, blocks: Iterable[Vectors], rows: int, encoder: EncoderIdentity, kind: str, parameters: Parameters
) -> tuple[str, ...]:
    """Write the files of a VectorIndex; returns their names.

    Memory holds the structure (``search_types`` says how large it is) and one block; for ``ivfpq`` also the sample that
    trains it. The sample is drawn with a seed: the same vectors give the same structure, but for what FAISS's threads
    add in another order.

    Args:
        directory: where; it must be there.
        blocks: (m, d), ``rows`` rows in all; read once.
        rows: n.
        encoder: who made them: their dimension, and whether they must be normalised.
        kind: exact, hnsw or ivfpq.
        parameters: of ``parameters_for``.

    Raises:
        ValueError: not ``rows`` vectors, or not as the encoder makes them.
        IndexStorageError, OSError: the disk does not take them.
    """
    counted = _counted(blocks, rows, encoder)
    if kind == EXACT:
        index = VectorIndex.of(counted, encoder.dimension, encoder.normalised).faiss_index
    elif kind == HNSW:
        index = _graph(counted, encoder.dimension, parameters)
    else:
        index = _lists(_write_half_vectors(directory / HALF_VECTORS_FILE, counted, rows, encoder.dimension), parameters)
    VectorIndex(index).write(directory / VECTORS_FILE)
    return (VECTORS_FILE,) if kind in {EXACT, HNSW} else (VECTORS_FILE, HALF_VECTORS_FILE)


def _counted(blocks: Iterable[Vectors], rows: int, encoder: EncoderIdentity) -> Iterator[Vectors]:
    """The blocks, checked. Raises ValueError if they are not ``rows`` rows in all."""
    count = 0
    for block in blocks:
        yield checked(block, encoder.dimension, encoder.normalised, count)
        count += len(block)
        if count > rows:
            raise ValueError(f"{count} vectors or more for {rows} passages")
    if count != rows:
        raise ValueError(f"{count} vectors for {rows} passages")


def _check_range(block: Vectors) -> Vectors:
    """Raises ValueError if float16 does not hold a value."""
    if np.abs(block).max(initial=0) > _LARGEST_HALF:
        raise ValueError(
            f"a value is above {_LARGEST_HALF:.0f}, more than float16 holds; take the index type {EXACT!r}"
        )
    return block


def _write_half_vectors(path: Path, blocks: Iterable[Vectors], rows: int, dimension: int) -> NDArray[np.float16]:
    """Write FAISS's file of a flat float16 index block by block: its head, then the codes. Returns these, mapped."""
    import faiss

    empty: Any = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    empty.ntotal = rows
    head = faiss.serialize_index(empty).tobytes()[:-8] + (rows * dimension * 2).to_bytes(8, "little")
    with path.open("wb") as stream:
        stream.write(head)
        for block in blocks:
            stream.write(_check_range(block).astype("<f2").data)
    return np.memmap(path, "<f2", "r", offset=len(head), shape=(rows, dimension))


def _graph(blocks: Iterable[Vectors], dimension: int, parameters: Parameters) -> Any:
    """HNSW over float16 vectors."""
    import faiss

    half: Any = faiss.ScalarQuantizer.QT_fp16
    index: Any = faiss.IndexHNSWSQ(dimension, half, parameters["m"], faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = parameters["ef_construction"]
    for block in blocks:
        index.add(_check_range(block))
    return index


def _lists(half_vectors: Any, parameters: Parameters) -> Any:
    """Inverted lists of product-quantised codes, behind a rotation that makes the codes fit (OPQ)."""
    import faiss

    n, dimension = half_vectors.shape
    m, lists = parameters["m"], parameters["lists"]
    unsorted = f"PQ{m}np"  # codes need not be in an order that lets their Hamming distance tell something
    index: Any = faiss.index_factory(dimension, f"OPQ{m},IVF{lists},{unsorted}", faiss.METRIC_INNER_PRODUCT)
    rotation: Any = faiss.downcast_VectorTransform(index.chain.at(0))
    rotation.niter, rotation.max_train_points = _ROTATION_ROUNDS, _ROTATION_VECTORS
    inverted: Any = faiss.downcast_index(index.index)
    inverted.cp.max_points_per_centroid, inverted.cp.min_points_per_centroid = _PER_LIST, 1
    inverted.pq.cp.max_points_per_centroid, inverted.pq.cp.min_points_per_centroid = _PER_CODE, 1
    sample = min(n, max(_PER_LIST * lists, _PER_CODE * 256, _ROTATION_VECTORS))
    chosen = np.sort(np.random.default_rng(_SEED).choice(n, sample, replace=False))
    index.train(half_vectors[chosen].astype(np.float32))
    for first in range(0, n, _ADDED):
        index.add(half_vectors[first : first + _ADDED].astype(np.float32))
    return index

"""Embedding: passages to shards of vectors on disk. What is finished is kept, also when the process is killed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.passages.passage import Passage
from retrieval.encoders.encoder import Progress, TextEncoder, Vectors
from retrieval.encoders.passage_text import render
from retrieval.errors import EmbeddingError
from retrieval.indexing.folder_lock import folder_lock
from retrieval.indexing.shards import read_shard, sweep_shards, write_shard

SHARD_SIZE = 1024  # passages

Known = Callable[[Sequence[Passage]], tuple[NDArray[np.int64], Vectors]]
"""Which of some passages have vectors already: their places (m,), and the vectors (m, d), of length 1."""


@dataclass(frozen=True)
class VectorShards:
    """Vectors on disk, in the order of the passages. Iterating gives blocks (m, d) of float32 unit vectors.

    Attributes:
        paths: one a shard, float16, half the size; a score moves by less than 0.0005.
        dimension: d.
        embedded: how many passages this run embedded; the others' vectors were there.
    """

    paths: tuple[Path, ...]
    dimension: int
    embedded: int = 0

    def __iter__(self) -> Iterator[Vectors]:
        for path in self.paths:
            block = read_shard(path, self.dimension)
            if block is None:
                raise EmbeddingError(
                    f"{path}: the shard is missing or damaged; build again, and it alone is made again"
                )
            yield block


def texts_digest(texts: Sequence[str]) -> str:
    """sha256 over texts and where each ends, 64 hex digits."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def embed_passages(
    passages: Sequence[Passage],
    encoder: TextEncoder,
    shard_dir: Path,
    progress: Progress | None = None,
    shard_size: int = SHARD_SIZE,
    known: Known | None = None,
) -> VectorShards:
    """Embed passages, shard by shard; shards in ``shard_dir`` of the same texts and encoder are taken as they are.

    A shard's name says which texts and encoder it is of, and it appears whole; one that is damaged is made again. A
    kill loses what the shard at hand had so far, no more. Memory holds one shard, however many passages there are.
    Builders of the same shards wait for each other, so that each shard is made once.

    Args:
        passages: n of them; read by slices.
        encoder: of dimension d.
        shard_dir: made if it is not there.
        progress: called with (passages done, n).
        shard_size: passages in a shard; all but the last have this many.
        known: gives vectors that need not be made.

    Raises:
        EmbeddingError: the disk does not take a shard; those before it stay.
    """
    with _sole_embedder(shard_dir):
        sweep_shards(shard_dir)
        paths, embedded = [], 0
        for number, first in enumerate(range(0, len(passages), shard_size)):
            shard = passages[first : first + shard_size]
            texts = [render(passage) for passage in shard]
            path = shard_dir / f"shard-{number:05d}-{_key(texts, encoder)}.npy"
            if read_shard(path, encoder.identity.dimension, len(texts)) is None:
                places, vectors = known(shard) if known is not None else _NOTHING
                heard = _shifted(progress, first + len(places), len(passages))
                write_shard(path, _completed(texts, places, vectors, encoder, heard))
                embedded += len(texts) - len(places)
            elif progress is not None:
                progress(first + len(texts), len(passages))
            paths.append(path)
    return VectorShards(tuple(paths), encoder.identity.dimension, embedded)


@contextmanager
def _sole_embedder(shard_dir: Path) -> Iterator[None]:
    """Raises EmbeddingError where the lock of the shards cannot be taken."""
    with ExitStack() as held:
        try:
            held.enter_context(folder_lock(shard_dir))
        except OSError as error:
            raise EmbeddingError(f"{shard_dir}: {error.strerror or error}") from error
        yield


_NOTHING = np.empty(0, np.int64), np.empty((0, 0), np.float32)


def _completed(
    texts: Sequence[str], places: NDArray[np.int64], known: Vectors, encoder: TextEncoder, progress: Progress | None
) -> Vectors:
    """Vectors (n, d) of the texts: those that are known at their places, the others embedded."""
    vectors = np.empty((len(texts), encoder.identity.dimension), np.float32)
    missing = np.setdiff1d(np.arange(len(texts)), places)
    if len(places):
        vectors[places] = known
    if len(missing):
        vectors[missing] = encoder.encode([texts[place] for place in missing], progress=progress)
    elif progress is not None:
        progress(0, 0)
    return vectors


def _key(texts: Sequence[str], encoder: TextEncoder) -> str:
    return texts_digest([encoder.identity.digest, *texts])[:16]


def _shifted(progress: Progress | None, first: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(first + done, total)

"""Embedding: passages to shards of vectors on disk. What is finished is kept, also when the process is killed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.errors import IndexStorageError
from index.passages import Passage
from index.storage import replace_file
from retrieval.encoder import Progress, TextEncoder, Vectors
from retrieval.errors import EmbeddingError

TEMPLATE = "{title}. {text}"  # what of a passage is embedded; recorded in every manifest
SHARD_SIZE = 1024  # passages


@dataclass(frozen=True)
class VectorShards:
    """Vectors on disk, in the order of the passages. Iterating gives blocks (m, d) of float32 unit vectors.

    Attributes:
        paths: one ``.npy`` a shard, float16, half the size; a score moves by less than 0.0005.
        dimension: d.
    """

    paths: tuple[Path, ...]
    dimension: int

    def __iter__(self) -> Iterator[Vectors]:
        for path in self.paths:
            block = _read_shard(path, self.dimension)
            if block is None:
                raise EmbeddingError(f"{path}: the shard is missing or damaged; embed again")
            yield block


def render(passage: Passage) -> str:
    """The text that is embedded for a passage: see ``TEMPLATE``; without a title, the text alone."""
    return TEMPLATE.format(title=passage.title, text=passage.text) if passage.title else passage.text


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
) -> VectorShards:
    """Embed passages, shard by shard; shards in ``shard_dir`` of the same texts and encoder are taken as they are.

    A shard's name says which texts and encoder it is of, and it appears whole; one that is damaged is made again.

    Args:
        passages: n of them.
        encoder: of dimension d.
        shard_dir: made if it is not there.
        progress: hears (passages done, n).
        shard_size: passages in a shard; all but the last have this many.

    Raises:
        EmbeddingError: the disk does not take a shard; those before it stay.
    """
    paths, dimension = [], encoder.identity.dimension
    for number, first in enumerate(range(0, len(passages), shard_size)):
        texts = [render(passage) for passage in passages[first : first + shard_size]]
        path = shard_dir / f"shard-{number:05d}-{_key(texts, encoder)}.npy"
        if _read_shard(path, dimension, len(texts)) is None:
            _write_shard(path, encoder.encode(texts, progress=_shifted(progress, first, len(passages))))
        elif progress is not None:
            progress(first + len(texts), len(passages))
        paths.append(path)
    return VectorShards(tuple(paths), dimension)


def _key(texts: Sequence[str], encoder: TextEncoder) -> str:
    return texts_digest([encoder.identity.digest, *texts])[:16]


def _shifted(progress: Progress | None, first: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(first + done, total)


def _write_shard(path: Path, vectors: Vectors) -> None:
    buffer = io.BytesIO()
    np.save(buffer, vectors.astype(np.float16), allow_pickle=False)
    try:
        replace_file(path, buffer.getvalue())
    except IndexStorageError as error:
        raise EmbeddingError(str(error)) from error


def _read_shard(path: Path, dimension: int, rows: int | None = None) -> Vectors | None:
    """The vectors (m, d) of a shard, normalised again; None if it is missing, cut short or not what it should be."""
    try:
        with path.open("rb") as stream:
            block = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if block.dtype != np.float16 or block.ndim != 2 or block.shape[1] != dimension:
        return None
    vectors: Vectors = block.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if (rows is not None and len(vectors) != rows) or not np.all(np.abs(lengths - 1) < 0.01):
        return None
    vectors /= lengths
    return vectors

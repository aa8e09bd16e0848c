"""An opened index: a value that is searched and never changes. Opening verifies every file against the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexMismatch
from index.manifest import MANIFEST_FILE, PASSAGES_FILE, VECTORS_FILE, Manifest, read_manifest
from index.passages import Hit, Passage, from_line
from index.storage import file_digest, storing
from index.vectors import EXACT, EncoderIdentity, VectorIndex


@dataclass(frozen=True, eq=False)
class Index:
    """One version, open. Vector row i belongs to passage i.

    Attributes:
        manifest: what it is made of.
        vectors: the search over its vectors.
        passages: their passages.
    """

    manifest: Manifest
    vectors: VectorIndex = field(repr=False)
    passages: tuple[Passage, ...] = field(repr=False)

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """For each of the queries (n, d), normalised, its min(k, size) best passages. Raises ValueError if k < 1."""
        scores, rows = self.vectors.search(queries, k)
        return [
            [Hit(self.passages[row], float(score), rank) for rank, (row, score) in enumerate(found, start=1)]
            for found in (zip(*pair, strict=True) for pair in zip(rows, scores, strict=True))
        ]


def open_index(directory: Path, encoder: EncoderIdentity) -> Index:
    """Open the version in ``directory`` for queries of ``encoder``.

    Raises:
        IndexMismatch: a file is not what the manifest says, or the encoder is another one; names file and reason.
        IndexStorageError: a file cannot be read.
    """
    with storing(directory):
        manifest = read_manifest(directory)
        check_encoder(directory / MANIFEST_FILE, manifest, encoder)
        for name, digest in manifest.files.items():
            _check_file(directory / name, digest)
        vectors = VectorIndex.read(directory / VECTORS_FILE)
        passages = _read_passages(directory / PASSAGES_FILE)
    _check_counts(directory, manifest, vectors, passages)
    return Index(manifest, vectors, passages)


def check_encoder(path: Path, manifest: Manifest, encoder: EncoderIdentity) -> None:
    """Raises IndexMismatch, naming ``path``, unless ``encoder`` made the vectors and the index type is known here."""
    made = manifest.recipe.encoder
    if made.dimension != encoder.dimension:
        why = f"the vectors are of dimension {made.dimension}, those of the encoder {encoder.name} {encoder.dimension}"
        raise IndexMismatch(path, why)
    if made.digest != encoder.digest:
        why = f"built with the encoder {made.name} ({made.digest[:12]}), not {encoder.name} ({encoder.digest[:12]})"
        raise IndexMismatch(path, why)
    if manifest.type != EXACT:
        raise IndexMismatch(path, f"this release does not know the index type {manifest.type!r}")


def _check_file(path: Path, digest: str) -> None:
    if not path.is_file():
        raise IndexMismatch(path, "the file is missing")
    if file_digest(path) != digest:
        raise IndexMismatch(path, "its content is not what the manifest says (another sha256)")


def _check_counts(directory: Path, manifest: Manifest, vectors: VectorIndex, passages: tuple[Passage, ...]) -> None:
    if vectors.dimension != manifest.dimension:
        why = f"vectors of dimension {vectors.dimension}; the manifest says {manifest.dimension}"
        raise IndexMismatch(directory / VECTORS_FILE, why)
    for name, count in ((VECTORS_FILE, len(vectors)), (PASSAGES_FILE, len(passages))):
        if count != manifest.passages:
            raise IndexMismatch(directory / name, f"holds {count} entries; the manifest says {manifest.passages}")


def _read_passages(path: Path) -> tuple[Passage, ...]:
    passages = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                passages.append(from_line(line))
            except (ValueError, KeyError, TypeError) as error:
                raise IndexMismatch(path, f"line {number} is not a passage: {error}") from error
    return tuple(passages)

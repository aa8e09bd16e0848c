"""Whether a version's files are what its manifest says, and whether it fits an encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from errata.files import file_digest
from index.atomic_files import storing
from index.errors import IndexMismatch
from index.vectors.search_types import TYPES
from index.vectors.vector_index import EncoderIdentity
from index.versions.manifest import Manifest, read_manifest

DIGESTED_AT_OPEN = 64 << 20  # bytes; a digest takes about a second a gigabyte, and the service opens at its start


def check_encoder(path: Path, manifest: Manifest, encoder: EncoderIdentity) -> None:
    """Raises IndexMismatch, naming ``path``, unless ``encoder`` made the vectors and the index types are known here."""
    made = manifest.recipe.encoder
    if made.dimension != encoder.dimension:
        why = f"the vectors are of dimension {made.dimension}, those of the encoder {encoder.name} {encoder.dimension}"
        raise IndexMismatch(path, why)
    if made.digest != encoder.digest:
        why = f"built with the encoder {made.name} ({made.digest[:12]}), not {encoder.name} ({encoder.digest[:12]})"
        raise IndexMismatch(path, why)
    for kind in (manifest.type, *(segment.type for segment in manifest.segments)):
        if kind not in TYPES:
            raise IndexMismatch(path, f"this release does not know the index type {kind!r}")


def check_files(directory: Path, manifest: Manifest, digested: int | None = DIGESTED_AT_OPEN) -> None:
    """Compare the sizes of all files, and the digests of those of at most ``digested`` bytes (None: of all).

    Raises IndexMismatch, naming the file.
    """
    for name, digest in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise IndexMismatch(path, "the file is missing")
        size = path.stat().st_size
        if size != manifest.sizes.get(name, size):
            raise IndexMismatch(path, f"its content is not what the manifest says ({size} bytes, another size)")
        if (digested is None or size <= digested or not manifest.sizes) and file_digest(path) != digest:
            raise IndexMismatch(path, "its content is not what the manifest says (another sha256)")


def verify_index(directory: Path, say: Callable[[str], None] | None = None) -> Manifest:
    """Read every file of a version and compare its digest, however large it is.

    Args:
        directory: of the version.
        say: is told each file's name before it is read.

    Raises:
        IndexMismatch: a file is missing or is not what the manifest says.
        IndexStorageError: a file cannot be read.
    """
    with storing(directory):
        manifest = read_manifest(directory)
        for name in manifest.files:
            if say is not None:
                say(name)
            check_files(directory, replace(manifest, files={name: manifest.files[name]}), digested=None)
    return manifest

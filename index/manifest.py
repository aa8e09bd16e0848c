"""The manifest: what an index version is made of, and the digests that say whether its files are still that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from index.corpora import Corpus
from index.errors import IndexMismatch
from index.passages import WORDS_PER_PASSAGE
from index.vectors import EXACT, EncoderIdentity

MANIFEST_FILE = "manifest.json"
VECTORS_FILE = "index.faiss"
PASSAGES_FILE = "passages.jsonl"
FORMAT = 1
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Recipe:
    """How passages become an index. The same recipe and passages give a version of the same name.

    Attributes:
        corpus: where the text comes from, and its licence.
        encoder: who made the vectors.
        template: what of a passage was embedded, with ``{title}`` and ``{text}``.
        precision: how the vectors were kept before the index was built: ``float16`` or ``int8``.
        words_per_passage: at most.
        type: of the search; ``exact``.
    """

    corpus: Corpus
    encoder: EncoderIdentity
    template: str
    precision: str
    words_per_passage: int = WORDS_PER_PASSAGE
    type: str = EXACT


@dataclass(frozen=True)
class Manifest:
    """One index version.

    Attributes:
        version: its name and that of its directory, e.g. ``summaries-en-1a2b3c4d``.
        built_at: RFC 3339, UTC.
        recipe: how it was made.
        passages: how many there are, and vectors.
        articles: how many they come from.
        skipped_empty: articles without text.
        skipped_duplicates: passages that were there already.
        files: sha256 (64 hex digits) by file name.
    """

    version: str
    built_at: str
    recipe: Recipe
    passages: int
    articles: int
    skipped_empty: int
    skipped_duplicates: int
    files: Mapping[str, str]

    @property
    def dimension(self) -> int:
        return self.recipe.encoder.dimension

    @property
    def type(self) -> str:
        return self.recipe.type

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=2).encode() + b"\n"


def read_manifest(directory: Path) -> Manifest:
    """The manifest in ``directory``.

    Raises:
        IndexMismatch: it is damaged, of another format, or of a version with another name.
        OSError: it cannot be read.
    """
    path = directory / MANIFEST_FILE
    try:
        fields = json.loads(path.read_bytes())
        if fields.pop("format") != FORMAT:
            raise IndexMismatch(path, f"its format is not {FORMAT}; it was written by another release")
        manifest = _manifest(fields)
    except FileNotFoundError as error:
        raise IndexMismatch(path, "the file is missing") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IndexMismatch(path, f"not a manifest: {type(error).__name__}: {error}") from error
    if manifest.version != directory.name:
        raise IndexMismatch(path, f"it belongs to the version {manifest.version!r}, not to {directory.name!r}")
    return manifest


def _manifest(fields: dict[str, Any]) -> Manifest:
    recipe = fields.pop("recipe")
    corpus, encoder = Corpus(**recipe.pop("corpus")), EncoderIdentity(**recipe.pop("encoder"))
    manifest = Manifest(recipe=Recipe(corpus=corpus, encoder=encoder, **recipe), **fields)
    counts = (manifest.passages, manifest.articles, manifest.dimension, manifest.skipped_empty)
    if not all(isinstance(count, int) for count in counts):
        raise TypeError("a count is not a number")
    if set(manifest.files) != {VECTORS_FILE, PASSAGES_FILE}:
        raise ValueError(f"digests of {VECTORS_FILE} and {PASSAGES_FILE} expected")
    return manifest

"""The manifest: what an index version is made of, and the digests that say whether its files are still that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from index.corpora.corpus import Corpus
from index.errors import IndexMismatch
from index.passages.passage import WORDS_PER_PASSAGE
from index.passages.passage_file import PASSAGES_FILE
from index.segments.record import FIRST_SEGMENT, SegmentRecord
from index.vectors.search_types import AUTO, TYPES, Parameters, parameters_for, resolved
from index.vectors.vector_index import VECTORS_FILE, EncoderIdentity

MANIFEST_FILE = "manifest.json"
FORMAT = 2
_FIRST_FORMAT = 1  # one exact segment beside the manifest, without sizes; still read
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SEGMENT_NAME = re.compile(r"\.|segment-\d{1,6}")


@dataclass(frozen=True)
class Recipe:
    """How passages become an index. The same recipe and passages give a version of the same name.

    Attributes:
        corpus: where the text comes from, and its licence.
        encoder: who made the vectors.
        template: what of a passage was embedded, with ``{title}`` and ``{text}``.
        precision: how the vectors were kept before the index was built: ``float16`` or ``int8``.
        words_per_passage: at most.
        type: of the search: ``exact``, ``hnsw``, ``ivfpq``, or ``auto``, which the number of passages decides.
        parameters: of the type, those that the caller chose; the others follow from the number of passages.
    """

    corpus: Corpus
    encoder: EncoderIdentity
    template: str
    precision: str
    words_per_passage: int = WORDS_PER_PASSAGE
    type: str = AUTO
    parameters: Parameters = field(default_factory=dict)

    def resolve(self, rows: int) -> Recipe:
        """The recipe with the type that ``rows`` passages get. Raises ValueError if they cannot have it."""
        kind = resolved(self.type, rows)
        parameters_for(kind, rows, self.encoder.dimension, self.parameters)
        return replace(self, type=kind)

    def of_type(self, kind: str) -> Recipe:
        """The recipe of another type; what the caller chose for this type does not hold for another one."""
        return replace(self, type=kind, parameters=self.parameters if kind == self.type else {})

    def segment(self, name: str, rows: int) -> SegmentRecord:
        """The record of a segment of ``rows`` passages, of this recipe's type. Raises ValueError as ``resolve``."""
        parameters = parameters_for(self.type, rows, self.encoder.dimension, self.parameters)
        return SegmentRecord(name, self.type, rows, 0, parameters)

    def fields(self) -> dict[str, Any]:
        """For JSON. What says nothing is left out, so that names stay as they were before there was a choice."""
        fields = asdict(self)
        if not self.parameters:
            del fields["parameters"]
        if self.encoder.normalised:
            del fields["encoder"]["normalised"]
        return fields


@dataclass(frozen=True)
class Manifest:
    """One index version.

    Attributes:
        version: its name and that of its directory, e.g. ``summaries-en-1a2b3c4d``.
        built_at: RFC 3339, UTC.
        recipe: how it was made.
        passages: how many there are, and vectors; deleted ones do not count.
        articles: how many they come from.
        skipped_empty: articles without text.
        skipped_duplicates: passages that were there already.
        files: sha256 (64 hex digits) by path within the version's directory.
        sizes: bytes, likewise; empty in versions of format 1.
        segments: its parts.
        parent: the version that it was made from by adding, deleting or merging; None if it was built.
        type_chosen: the caller chose the type of the search; otherwise it follows the number of passages.
        skipped: what the reader of the corpus left out, by reason, e.g. ``redirects``.
    """

    version: str
    built_at: str
    recipe: Recipe
    passages: int
    articles: int
    skipped_empty: int
    skipped_duplicates: int
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    segments: tuple[SegmentRecord, ...]
    parent: str | None = None
    type_chosen: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        return self.recipe.encoder.dimension

    @property
    def type(self) -> str:
        return self.recipe.type

    @property
    def size(self) -> int:
        """Bytes on the disk; what versions share counts for each."""
        return sum(self.sizes.values())

    def to_json(self) -> bytes:
        fields = {"format": FORMAT, **asdict(self), "recipe": self.recipe.fields()}
        return json.dumps(fields, ensure_ascii=False, indent=2).encode() + b"\n"


def read_manifest(directory: Path) -> Manifest:
    """The manifest in ``directory``, of this format or the first.

    Raises:
        IndexMismatch: it is damaged, of another format, or of a version with another name.
        OSError: it cannot be read.
    """
    path = directory / MANIFEST_FILE
    try:
        fields = json.loads(path.read_bytes())
        made_by = fields.pop("format")
        if made_by not in {FORMAT, _FIRST_FORMAT}:
            raise IndexMismatch(path, f"its format is {made_by!r:.20}, not {FORMAT}; another release wrote it")
        manifest = _manifest(fields if made_by == FORMAT else _as_second_format(fields))
    except FileNotFoundError as error:
        raise IndexMismatch(path, "the file is missing") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise IndexMismatch(path, f"not a manifest: {type(error).__name__}: {error}") from error
    if manifest.version != directory.name:
        raise IndexMismatch(path, f"it belongs to the version {manifest.version!r}, not to {directory.name!r}")
    return manifest


def _as_second_format(fields: dict[str, Any]) -> dict[str, Any]:
    segment = {"name": FIRST_SEGMENT, "type": fields["recipe"]["type"], "rows": fields["passages"]}
    return {**fields, "sizes": {}, "segments": [segment]}


def _manifest(fields: dict[str, Any]) -> Manifest:
    recipe = fields.pop("recipe")
    corpus, encoder = Corpus(**recipe.pop("corpus")), EncoderIdentity(**recipe.pop("encoder"))
    segments = tuple(SegmentRecord(**segment) for segment in fields.pop("segments"))
    manifest = Manifest(recipe=Recipe(corpus=corpus, encoder=encoder, **recipe), segments=segments, **fields)
    _check_counts(manifest)
    _check_files(manifest)
    for segment in segments:
        if not _SEGMENT_NAME.fullmatch(segment.name):
            raise ValueError(f"a segment is named {segment.name!r}")
        if segment.type in TYPES:
            parameters_for(segment.type, segment.rows, manifest.dimension, segment.parameters)
    return manifest


def _check_counts(manifest: Manifest) -> None:
    counts = [manifest.passages, manifest.articles, manifest.dimension, manifest.skipped_empty]
    counts += [count for segment in manifest.segments for count in (segment.rows, segment.deleted, segment.live)]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise TypeError("a count is not a number from 0")
    if sum(segment.live for segment in manifest.segments) != manifest.passages:
        raise ValueError(f"its segments do not hold {manifest.passages} passages")


def _check_files(manifest: Manifest) -> None:
    """Each segment has its two main files, and no path leads out of the directory."""
    named = {str(Path(one.name) / name) for one in manifest.segments for name in (VECTORS_FILE, PASSAGES_FILE)}
    if not named <= set(manifest.files):
        raise ValueError(f"digests of {VECTORS_FILE} and {PASSAGES_FILE} expected")
    folders = {str(Path(one.name)) for one in manifest.segments}
    if any(Path(path).is_absolute() or str(Path(path).parent) not in folders for path in manifest.files):
        raise ValueError("a file is in no segment")
    if manifest.sizes and set(manifest.sizes) != set(manifest.files):
        raise ValueError("a file has no size")

"""Names of versions: they follow from the content, so that the same content has the same name everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from index.passages.passage import Passage, to_line
from index.passages.passage_file import PASSAGES_FILE, PassageFile
from index.segments.record import SegmentRecord
from index.segments.segment import DELETED_FILE
from index.versions.manifest import VERSION_NAME, Recipe


def version_name(recipe: Recipe, passages: Sequence[Passage]) -> str:
    """The corpus's name and 8 hex digits, a digest of recipe and passages.

    Raises ValueError if the corpus's name does not make a file name, or ``recipe.type`` is not for so many passages.
    """
    recipe = recipe.resolve(len(passages))
    digest = hashlib.sha256(json.dumps(recipe.fields(), sort_keys=True).encode())
    for block in passages.blocks() if isinstance(passages, PassageFile) else map(to_line, passages):
        digest.update(block)
    return _name(recipe, digest.hexdigest())


def segmented_version_name(recipe: Recipe, records: Sequence[SegmentRecord], digests: Mapping[str, str]) -> str:
    """The name of a version that was made from another one: likewise, of the passages by segment, deleted ones too.

    ``digests``: sha256 by path within the version.
    """
    content = [recipe.fields()]
    for record in records:
        paths = (str(Path(record.name) / name) for name in (PASSAGES_FILE, DELETED_FILE))
        content.append({"rows": record.rows, "files": [digests.get(path, "") for path in paths]})
    return _name(recipe, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest())


def _name(recipe: Recipe, digest: str) -> str:
    version = f"{recipe.corpus.name}-{digest[:8]}"
    if not VERSION_NAME.fullmatch(version):
        raise ValueError(f"the corpus name {recipe.corpus.name!r} does not make a file name")
    return version

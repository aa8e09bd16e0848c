"""Names of versions: they follow from the content, so that the same content has the same name everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from index.passages.passage import Passage, to_line
from index.passages.passage_file import PassageFile
from index.versions.manifest import VERSION_NAME, Recipe, resolved_recipe


def version_name(recipe: Recipe, passages: Sequence[Passage]) -> str:
    """The corpus's name and 8 hex digits, a digest of recipe and passages: the same content has the same name.

    Raises ValueError if the corpus's name does not make a file name, or ``recipe.type`` is not for so many passages.
    """
    recipe = resolved_recipe(recipe, len(passages))
    digest = hashlib.sha256(json.dumps(recipe.fields(), sort_keys=True).encode())
    for block in passages.blocks() if isinstance(passages, PassageFile) else map(to_line, passages):
        digest.update(block)
    return named(recipe, digest.hexdigest())


def named(recipe: Recipe, digest: str) -> str:
    """Raises ValueError if the corpus's name does not make a file name."""
    version = f"{recipe.corpus.name}-{digest[:8]}"
    if not VERSION_NAME.fullmatch(version):
        raise ValueError(f"the corpus name {recipe.corpus.name!r} does not make a file name")
    return version

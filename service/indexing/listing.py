"""A version of the index as ``errata index list`` shows it, in a table or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.amounts import in_bytes

if TYPE_CHECKING:
    from index.versions.registry import ListedVersion


def version_document(version: ListedVersion) -> dict[str, Any]:
    """A version for machines, and for the table."""
    manifest = version.manifest
    return {
        "version": manifest.version,
        "passages": manifest.passages,
        "articles": manifest.articles,
        "type": manifest.type,
        "dimension": manifest.dimension,
        "encoder": manifest.recipe.encoder.name,
        "corpus": manifest.recipe.corpus.source,
        "built_at": manifest.built_at,
        "bytes": version.size,
        "size": in_bytes(version.size),
        "segments": len(manifest.segments),
        "parent": manifest.parent,
        "skipped": {"empty": manifest.skipped_empty, "duplicates": manifest.skipped_duplicates, **manifest.skipped},
        "active": version.active,
    }

"""The retriever: a question to passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from index.opened import Index, check_encoder
from index.passages import Hit
from retrieval.encoder import TextEncoder


@dataclass(frozen=True, eq=False)
class Retriever:
    """Dense search in one opened index version. Never changes: to serve another version, replace the reference.

    Raises IndexMismatch when made with an encoder that is not the index's.

    Attributes:
        index: the opened version.
        encoder: the one that made its vectors.
    """

    index: Index
    encoder: TextEncoder

    def __post_init__(self) -> None:
        check_encoder(Path(self.version), self.index.manifest, self.encoder.identity)

    @property
    def version(self) -> str:
        return self.index.manifest.version

    def search(self, query: str, k: int) -> list[Hit]:
        """The min(k, size) best passages, best first. Raises ValueError if k < 1."""
        return self.index.search(self.encoder.encode_query(query)[None], k)[0]

    def search_many(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """:meth:`search` for each of the queries, in one pass."""
        return self.index.search(self.encoder.encode_queries(queries), k)

"""The retriever: a question to passages, by meaning, by words, or by both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from index.errors import IndexMismatch
from index.passages.passage import Hit
from index.versions.passage_index import PassageIndex
from index.versions.verification import check_encoder
from retrieval.encoders import reranker
from retrieval.encoders.encoder import TextEncoder, Vectors
from retrieval.errors import LexicalUnavailable, NoReranker
from retrieval.search import fusion
from retrieval.search.bm25 import IN_MEMORY, Bm25Index, Rows, build_lexical
from retrieval.search.dense import nearest_rows, stored_vectors
from retrieval.search.filters import Filter, allowed_rows

How = Literal["dense", "bm25", "hybrid"]
DEFAULT: How = "hybrid"  # on NQ its recall@5 is not below that of the others: benchmarks/retrieval.py
Ranking = list[tuple[int, float]]  # rows and scores, best first

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Retriever:
    """Search in one opened index version. Never changes: to serve another version, replace the reference.

    ``Hit.score`` is, by kind of search,

    - ``dense``: the maximum inner product of Lewis et al. 2020, d(z)·q(x), of normalised vectors: in [-1, 1];
    - ``bm25``: the BM25 score of :mod:`retrieval.search.bm25`, above 0; passages without a term of the query are not
      found;
    - ``hybrid``: the reciprocal rank score of :mod:`retrieval.search.fusion`, above 0, of the dense and the BM25
      ranking;
    - re-ranked, whatever the kind: the logit of the cross-encoder.

    ``Hit.inner_product`` is d(z)·q(x) for every kind.

    Raises IndexMismatch when made with an encoder that is not the index's, or with BM25 of another version.

    Attributes:
        index: the opened version.
        encoder: the one that made its vectors.
        lexical: BM25 of the same version; None: made in memory when it is first needed, for indexes of a size for that.
        reranker: None: re-ranking is refused.
    """

    index: PassageIndex
    encoder: TextEncoder
    lexical: Bm25Index | None = None
    reranker: reranker.Reranker | None = None

    def __post_init__(self) -> None:
        check_encoder(Path(self.version), self.index.manifest, self.encoder.identity)
        if self.lexical is not None and (self.lexical.version, self.lexical.size) != (self.version, self.size):
            raise IndexMismatch(Path(self.version), f"the BM25 given is of {self.lexical.version}")

    @property
    def size(self) -> int:
        return len(self.index.passages)

    @property
    def version(self) -> str:
        return self.index.manifest.version

    def search(
        self, query: str, k: int, how: How = DEFAULT, *, only: Filter | None = None, rerank: bool = False
    ) -> list[Hit]:
        """The best passages, best first: min(k, those that ``only`` allows), of ``bm25`` fewer where fewer fit.

        Args:
            query: any text; of a long one the first part counts.
            k: how many.
            how: the kind of search; ``hybrid`` is dense where there is no BM25 (see :meth:`kind`).
            only: which passages may be found; None: all.
            rerank: let the cross-encoder order the best 50 (or k, if that is more).

        Raises:
            ValueError: k < 1.
            NoReranker: ``rerank`` without a re-ranker.
            LexicalUnavailable: ``bm25`` where there is none.
        """
        self._check(k, how, rerank)
        return self._found([query], self.encoder.encode_query(query)[None], k, how, only, rerank)[0]

    def search_many(
        self, queries: Sequence[str], k: int, how: How = DEFAULT, *, only: Filter | None = None, rerank: bool = False
    ) -> list[list[Hit]]:
        """:meth:`search` for each of the queries, in one pass."""
        self._check(k, how, rerank)
        return self._found(queries, self.encoder.encode_queries(queries), k, how, only, rerank) if queries else []

    def kind(self, how: How) -> How:
        """The kind that a search is in truth: dense in the place of hybrid where there is no BM25.

        Raises LexicalUnavailable for ``bm25`` where there is none.
        """
        if how == "dense" or self._words is not None:
            return how
        if how == "bm25":
            raise LexicalUnavailable(self.version)
        return "dense"

    def _check(self, k: int, how: str, rerank: bool) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if how not in ("dense", "bm25", "hybrid"):
            raise ValueError(f"a search is dense, bm25 or hybrid, not {how!r}")
        if rerank and self.reranker is None:
            raise NoReranker

    @cached_property
    def _words(self) -> Bm25Index | None:
        if self.lexical is not None or self.size > IN_MEMORY:
            return self.lexical
        return build_lexical(self.index)

    def _found(
        self, queries: Sequence[str], vectors: Vectors, k: int, how: How, only: Filter | None, rerank: bool
    ) -> list[list[Hit]]:
        depth = min(max(k, reranker.DEPTH) if rerank else k, self.size)
        allowed = allowed_rows(self.index, only)
        if not self.size or (allowed is not None and not len(allowed)):
            return [[] for _ in queries]
        found = self._rankings(queries, vectors, depth, self.kind(how), allowed)
        hits = [self._hits(vector, *pair) for vector, pair in zip(vectors, found, strict=True)]
        return [own[:k] for own in (self._reranked(queries, hits) if rerank else hits)]

    def _rankings(
        self, queries: Sequence[str], vectors: Vectors, depth: int, how: How, allowed: Rows | None
    ) -> list[tuple[Ranking, dict[int, float]]]:
        """For each query the best ``depth`` rows, and the inner products that are known of rows."""
        if how == "bm25":
            return [(self._by_words(query, depth, allowed), {}) for query in queries]
        dense = nearest_rows(self.index, vectors, depth if how == "dense" else max(depth, fusion.DEPTH), allowed)
        if how == "dense":
            return [(ranking, dict(ranking)) for ranking in dense]
        return [
            (self._fused(query, ranking, allowed)[:depth], dict(ranking))
            for query, ranking in zip(queries, dense, strict=True)
        ]

    def _fused(self, query: str, dense: Ranking, allowed: Rows | None) -> Ranking:
        by_words = self._by_words(query, max(len(dense), 1), allowed)
        rankings = [[row for row, _ in ranking] for ranking in (dense, by_words)]
        return fusion.fuse(rankings, (fusion.DENSE, fusion.LEXICAL))

    def _by_words(self, query: str, depth: int, allowed: Rows | None) -> Ranking:
        assert self._words is not None  # see kind
        scores, rows = self._words.search(query, depth, allowed)
        return list(zip(rows.tolist(), scores.tolist(), strict=True))

    def _hits(self, vector: Vectors, ranking: Ranking, known: dict[int, float]) -> list[Hit]:
        """The passages of a ranking; inner products that no search gave come from the vectors that the index holds."""
        unknown = [row for row, _ in ranking if row not in known]
        if unknown:
            products = stored_vectors(self.index, unknown) @ vector
            known = known | dict(zip(unknown, products.tolist(), strict=True))
        return [
            Hit(self.index.passages[row], float(score), rank, float(known[row]))
            for rank, (row, score) in enumerate(ranking, start=1)
        ]

    def _reranked(self, queries: Sequence[str], hits: list[list[Hit]]) -> list[list[Hit]]:
        """The hits of all queries are read in one pass; equal ones keep their order."""
        assert self.reranker is not None
        pairs = [(query, hit.passage) for query, own in zip(queries, hits, strict=True) for hit in own]
        scores = iter(self.reranker.score([query for query, _ in pairs], [passage for _, passage in pairs]))
        judged = [[replace(hit, score=next(scores)) for hit in own] for own in hits]
        ordered = [sorted(own, key=lambda hit: -hit.score) for own in judged]
        return [[replace(hit, rank=rank) for rank, hit in enumerate(own, start=1)] for own in ordered]

"""Searches the active index, in the compute thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from index.passages.passage import Hit
from retrieval.search.filters import Filter
from retrieval.search.retriever import Retriever
from service.answers.index_manager import IndexManager
from service.engines.compute_thread import ComputeThread
from service.types.answers import RetrievalResult, RetrievedPassage, SearchOptions


@dataclass(frozen=True, eq=False)
class FoundPassages:
    """Passages for a question, best first, and the retriever that found them, whatever version is active since."""

    retriever: Retriever
    hits: Sequence[Hit]


class PassageSearch:
    """Raises IndexNotReady, by every method, while no index is open."""

    def __init__(self, index_manager: IndexManager, compute: ComputeThread) -> None:
        self.index_manager, self.compute = index_manager, compute

    def find(self, question: str, k: int) -> FoundPassages:
        """The passages from which a question is answered."""
        retriever = self.index_manager.retriever()
        return FoundPassages(retriever, self.compute.run(retriever.search, question, k))

    def retrieve(self, queries: Sequence[str], k: int, options: SearchOptions) -> list[RetrievalResult]:
        """One result a query, all in one pass.

        Raises:
            NoReranker, LexicalUnavailable
        """
        retriever = self.index_manager.retriever()
        only = Filter(options.titles, options.sources)
        search = partial(retriever.search_many, only=only, rerank=options.rerank)
        how = retriever.kind(options.how)
        found = self.compute.run(search, queries, k, options.how)
        return [RetrievalResult(tuple(map(passage_of, hits)), retriever.version, how) for hits in found]


def passage_of(hit: Hit) -> RetrievedPassage:
    """A hit as the contract shows it."""
    passage = hit.passage
    return RetrievedPassage(
        id=passage.id,
        title=passage.title,
        text=passage.text,
        score=hit.score,
        rank=hit.rank,
        source=passage.source,
        inner_product=hit.inner_product,
    )

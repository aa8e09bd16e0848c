"""Answers beside an index: retrieve, read, and say which passages an answer rests on, and which an edit overrules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from editing.edit import Edit
from editing.language.conversation import readings
from editing.ledger.state import State
from editing.verify import normalise
from index.passages.passage import Hit
from retrieval.search.filters import Filter
from retrieval.search.retriever import Retriever
from service.answers.citations import cited
from service.answers.passage_reader import PassageAnswer, PassageReader
from service.answers.reader import Reader
from service.edits.registry import EditRegistry
from service.engines.compute_thread import ComputeThread
from service.types import AskAnswer, AskQuery, OnPiece, RetrievalResult, RetrievedPassage, SearchOptions, UsedPassage

LONGEST_ASIDE = 64  # tokens of what the passages say where an edit overrules them


class Answerer:
    """Answers questions beside an index. The retriever is given with each call, so that indexes can be swapped."""

    def __init__(self, passages: PassageReader, book: EditRegistry, compute: ComputeThread) -> None:
        self.passages, self.book, self.compute = passages, book, compute

    @property
    def reader(self) -> Reader | None:
        """The trained one."""
        return self.passages.reader

    def retrieve(
        self, retriever: Retriever, queries: Sequence[str], k: int, search: SearchOptions
    ) -> list[RetrievalResult]:
        """One result a query, all in one pass."""
        only = Filter(search.titles, search.sources)
        found = partial(retriever.search_many, only=only, rerank=search.rerank)
        how = retriever.kind(search.how)
        many = self.compute.run(found, queries, k, search.how)
        return [RetrievalResult(tuple(_passage(hit) for hit in hits), retriever.version, how) for hits in many]

    def ask(self, retriever: Retriever, query: AskQuery, state: State, on_text: OnPiece | None) -> AskAnswer:
        """A matched edit in force for the question answers it; otherwise the passages do, under the global edits."""
        hits = self.compute.run(retriever.search, query.question, query.k)
        used = self.compute.run(self.book.in_force, readings([("user", query.question)]), state, query.edits)
        edits = [self.book.edit(i) for i in used]
        matched = any(edit.request.scope == "matched" for edit in edits)
        answer = self._corrected if matched else self._from_passages
        found = answer(retriever, query, hits, edits, on_text)
        return replace(found, edits_used=tuple(used), revision=state.revision, index=retriever.version)

    def _from_passages(
        self,
        retriever: Retriever,
        query: AskQuery,
        hits: Sequence[Hit],
        edits: Sequence[Edit],
        on_text: OnPiece | None,
    ) -> AskAnswer:
        read = self.passages.read(retriever, query, hits, edits, on_text)
        support = _support(query.question, read)
        passages = tuple(
            UsedPassage(_passage(hit), hit.rank in support, read.marginal.weight(n), read.marginal.prior(n))
            for n, hit in enumerate(read.shown)
        )
        supported = read.told and bool(self.reader or support)
        return _answer(query, read, passages, supported=supported)

    def _corrected(
        self,
        retriever: Retriever,
        query: AskQuery,
        hits: Sequence[Hit],
        edits: Sequence[Edit],
        on_text: OnPiece | None,
    ) -> AskAnswer:
        """The edit's answer, generated as it was verified, and the passages that say something else."""
        made = self._by_edits(query, edits, on_text)
        aside = replace(query, params=replace(query.params, max_tokens=LONGEST_ASIDE, stop=()), mode="concat")
        everywhere = [edit for edit in edits if edit.request.scope == "global"]
        said = self.passages.read(retriever, aside, hits, everywhere, None) if hits else None
        agreeing = cited(query.question, made.text, hits)
        against = _support(query.question, said) - agreeing if said and _differ(said.text, made.text) else set[int]()
        passages = tuple(
            UsedPassage(_passage(hit), hit.rank in agreeing, overruled=hit.rank in against) for hit in hits
        )
        return _answer(query, made, passages, passages_say=said.text if said and against else None)

    def _by_edits(self, query: AskQuery, edits: Sequence[Edit], on_text: OnPiece | None) -> PassageAnswer:
        prepared = self.passages.prompts.question(query.question, "question", query.params.max_tokens)
        piece: Callable[[int, str], None] | None = (lambda _, text: on_text(text)) if on_text else None
        (made,) = self.passages.engine.generate([prepared.ids], [edits], query.params, piece)
        return PassageAnswer(made.text, made.finish_reason, made.prompt_tokens, made.completion_tokens, ())


def _support(question: str, read: PassageAnswer) -> set[int]:
    """Ranks of the passages that a reading rests on."""
    if read.quoted:
        return set(read.quoted.ranks)
    return cited(question, read.text, read.shown) if read.told else set()


def _differ(said: str, made: str) -> bool:
    """Whether what the passages say lacks what the edit says."""
    return f" {normalise(made)} " not in f" {normalise(said)} "


def _answer(
    query: AskQuery,
    read: PassageAnswer,
    passages: tuple[UsedPassage, ...],
    supported: bool = True,
    passages_say: str | None = None,
) -> AskAnswer:
    return AskAnswer(
        read.text,
        passages,
        read.finish_reason,
        0,
        (),
        "",
        query.mode,
        read.prompt_tokens,
        read.completion_tokens,
        supported,
        passages_say,
        read.quoted is not None,
    )


def _passage(hit: Hit) -> RetrievedPassage:
    p = hit.passage
    return RetrievedPassage(p.id, p.title, p.text, hit.score, hit.rank, p.source, hit.inner_product)

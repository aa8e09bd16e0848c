"""Answers from passages: retrieve, prompt, generate, and say which passages the answer rests on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from editing.conversation import readings
from editing.state import State
from editing.verify import normalise
from index.passages import Hit
from retrieval.retriever import Retriever
from service.compute import ComputeThread
from service.engines import Engine
from service.prompt import PromptBuilder
from service.record import EditRecordBook
from service.usecases import AskAnswer, AskQuery, OnPiece, Retrieved, RetrievedPassage, UsedPassage

_STOPWORDS = frozenset(
    """a an and are as at be been by did do does for from had has have he her his how i in is it its of on or she that
    the their them there these they this to was were what when where which who whom whose why will with you""".split()  # noqa: SIM905 - a list of forty quoted words reads worse
)
CITED = 0.6  # share of the answer's new content words that a passage must hold


class Answerer:
    """Answers questions beside an index. The retriever is given with each call, so that indexes can be swapped."""

    def __init__(self, engine: Engine, prompts: PromptBuilder, book: EditRecordBook, compute: ComputeThread) -> None:
        self.engine, self.prompts, self.book, self.compute = engine, prompts, book, compute

    def retrieve(self, retriever: Retriever, query: str, k: int) -> Retrieved:
        hits = self.compute.run(retriever.search, query, k)
        return Retrieved(tuple(_passage(hit) for hit in hits), retriever.version)

    def ask(self, retriever: Retriever, query: AskQuery, state: State, on_text: OnPiece | None) -> AskAnswer:
        """An edit in force for the question answers it; otherwise the passages stand in the prompt."""
        hits = self.compute.run(retriever.search, query.question, query.k)
        used = self.compute.run(self.book.in_force, readings([("user", query.question)]), state, query.edits)
        edits = [self.book.edit(i) for i in used]
        max_tokens = query.params.max_tokens
        if edits:
            prepared, shown = self.prompts.question(query.question, "question", max_tokens), 0
        else:
            prepared, shown = self.prompts.with_passages(query.question, hits, max_tokens)
        piece: Callable[[int, str], None] | None = (lambda _, text: on_text(text)) if on_text else None
        (generation,) = self.engine.generate([prepared.ids], [edits], query.params, piece)
        support = cited(query.question, generation.text, hits)
        passages = tuple(UsedPassage(_passage(hit), hit.rank in support) for hit in hits[: shown or len(hits)])
        return AskAnswer(
            generation.text, passages, generation.finish_reason, state.revision, tuple(used), retriever.version,
            query.mode, generation.prompt_tokens, generation.completion_tokens,
        )  # fmt: skip


def cited(question: str, answer: str, hits: Sequence[Hit]) -> set[int]:
    """Ranks of the passages that hold most of what the answer says beyond the question's own words."""
    asked = set(normalise(question).split())
    content = {word for word in normalise(answer).split() if word not in _STOPWORDS}
    content = (content - asked) or content
    if not content:
        return set()
    shares = {hit.rank: _share(content, f"{hit.passage.title} {hit.passage.text}") for hit in hits}
    return {rank for rank, share in shares.items() if share >= CITED}


def _share(words: set[str], text: str) -> float:
    held = set(re.split(r"[^\w]+", text.casefold()))
    return len(words & held) / len(words)


def _passage(hit: Hit) -> RetrievedPassage:
    p = hit.passage
    return RetrievedPassage(p.id, p.title, p.text, hit.score, hit.rank, p.source)

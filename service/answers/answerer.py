"""Answers beside an index: retrieve, read, and say which passages an answer rests on, and which an edit overrules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from editing.scope.prompt import ScopePrompt
from editing.verify import normalise
from service.acting.acting_edit import ActingEdit
from service.acting.edited_engine import EditedPrompt
from service.answers.citations import cited
from service.answers.passage_reader import PassageAnswer, PassageReader
from service.answers.passage_search import FoundPassages, PassageSearch, passage_of
from service.answers.reader import Reader
from service.edits.registry import EditRegistry
from service.served_model import ServedModel
from service.types.answers import AskAnswer, AskQuery, UsedPassage
from service.types.generation import OnPiece, UsedEdit

LONGEST_ASIDE = 64  # tokens of what the passages say where an edit overrules them


@dataclass(frozen=True, eq=False)
class AskContext:
    """A question, and what it is answered from: passages, and the edits that act on it as of a revision."""

    query: AskQuery
    found: FoundPassages
    edits: Sequence[ActingEdit]
    revision: int

    def answer(
        self,
        read: PassageAnswer,
        passages: tuple[UsedPassage, ...],
        *,
        supported: bool = True,
        passages_say: str | None = None,
    ) -> AskAnswer:
        """The whole answer, from the text that was made."""
        return AskAnswer(
            answer=read.text,
            passages=passages,
            finish_reason=read.finish_reason,
            revision=self.revision,
            edits=tuple(UsedEdit(edit.id, edit.kind_name) for edit in self.edits),
            index=self.found.retriever.version,
            mode=self.query.mode,
            prompt_tokens=read.prompt_tokens,
            completion_tokens=read.completion_tokens,
            supported=supported,
            passages_say=passages_say,
            quoted=read.quoted is not None,
        )


class Answerer:
    """Answers questions beside an index."""

    def __init__(
        self, served: ServedModel, registry: EditRegistry, search: PassageSearch, passages: PassageReader
    ) -> None:
        self.edited, self.prompts = served.edited, served.prompts
        self.registry, self.search, self.passages = registry, search, passages

    @property
    def reader(self) -> Reader | None:
        """The trained one."""
        return self.passages.reader

    def ask(self, query: AskQuery, on_text: OnPiece | None) -> AskAnswer:
        """A matched edit in force for the question answers it; otherwise the passages do, under the global edits.

        Raises:
            IndexNotReady, UnknownRevision, UnknownEdit, EditRedacted, DamagedEdit, InvalidPrompt
        """
        found = self.search.find(query.question, query.k)
        state = self.registry.state(query.revision)
        edits = self.registry.acting(ScopePrompt(query.question), state, query.edits)
        context = AskContext(query, found, edits, state.revision)
        if any(edit.edit.request.scope == "matched" for edit in edits):
            return self._from_edits(context, on_text)
        return self._from_passages(context, on_text)

    def _from_passages(self, context: AskContext, on_text: OnPiece | None) -> AskAnswer:
        query, found = context.query, context.found
        read = self.passages.read(found.retriever, query, found.hits, context.edits, on_text)
        support = _support(query.question, read)
        passages = tuple(
            UsedPassage(passage_of(hit), hit.rank in support, read.marginal.weight(n), read.marginal.prior(n))
            for n, hit in enumerate(read.shown)
        )
        supported = read.answered and bool(self.reader or support)
        return context.answer(read, passages, supported=supported)

    def _from_edits(self, context: AskContext, on_text: OnPiece | None) -> AskAnswer:
        """The edits' answer, generated as it was verified, and the passages that say something else."""
        question, hits = context.query.question, context.found.hits
        made = self._generated(context, on_text)
        said = self._aside(context) if hits else None
        agreeing = cited(question, made.text, hits)
        against = _support(question, said) - agreeing if said and _differ(said.text, made.text) else set[int]()
        passages = tuple(
            UsedPassage(passage_of(hit), hit.rank in agreeing, overruled=hit.rank in against) for hit in hits
        )
        return context.answer(made, passages, passages_say=said.text if said and against else None)

    def _generated(self, context: AskContext, on_text: OnPiece | None) -> PassageAnswer:
        params = context.query.params
        prepared = self.prompts.question(context.query.question, "question", params.max_tokens)
        piece: Callable[[int, str], None] | None = (lambda _, text: on_text(text)) if on_text else None
        (made,) = self.edited.generate([EditedPrompt(prepared, context.edits)], params, piece)
        return PassageAnswer(made.text, made.finish_reason, made.prompt_tokens, made.completion_tokens, ())

    def _aside(self, context: AskContext) -> PassageAnswer:
        """What the passages say without the matched edits."""
        query, found = context.query, context.found
        aside = replace(query, params=replace(query.params, max_tokens=LONGEST_ASIDE, stop=()), mode="concat")
        everywhere = [edit for edit in context.edits if edit.edit.request.scope == "global"]
        return self.passages.read(found.retriever, aside, found.hits, everywhere, None)


def _support(question: str, read: PassageAnswer) -> set[int]:
    """Ranks of the passages that a reading rests on."""
    if read.quoted:
        return set(read.quoted.ranks)
    return cited(question, read.text, read.shown) if read.answered else set()


def _differ(said: str, made: str) -> bool:
    """Whether what the passages say lacks what the edit says."""
    return f" {normalise(made)} " not in f" {normalise(said)} "

"""From a query to token ids, within the model's context, and to the text that scope looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editing.edit import EditRequest
from editing.model.prompts import Message, PromptEncoder
from editing.scope.prompt import ScopePrompt
from index.passages.passage import Hit
from retrieval.reader.prompt import prompt_text
from service.engines.protocol import Prompt
from service.errors import InvalidPrompt
from service.types.generation import GenerateQuery

PASSAGE_TOKENS = 2048


@dataclass(frozen=True)
class PreparedPrompt:
    """A prompt ready for the engine.

    Attributes:
        about: what scope reads of it.
        turns: (role, content), or nothing where a text is continued as it stands.
        continues: an answer goes on in the prompt's line, after a space.
    """

    ids: Prompt
    about: ScopePrompt
    turns: tuple[Message, ...] = ()
    continues: bool = False
    longest: int = 0


class PromptBuilder:
    """Builds prompts and keeps them within the context.

    Args:
        encoder: tokenizer and chat template.
        context: longest sequence of the model, in tokens.
        budget: tokens of passages that are read for one answer; the best passage is read whatever it takes.
    """

    def __init__(self, encoder: PromptEncoder, context: int, budget: int = PASSAGE_TOKENS) -> None:
        self.encoder, self.context, self.budget = encoder, context, budget

    def of_query(self, query: GenerateQuery) -> PreparedPrompt:
        """Raises InvalidPrompt where prompt and answer together do not fit, or nothing is left of the prompt."""
        if query.messages:
            field, turns = "messages", [(m.role, m.content) for m in query.messages]
            self._check_size(field, "".join(content for _, content in turns))
            return self._conversation(field, turns, query.params.max_tokens)
        return self.question(query.prompt or "", "prompt", query.params.max_tokens, query.raw)

    def about(self, query: GenerateQuery) -> ScopePrompt:
        """What scope reads of a query, however long it is."""
        if query.messages:
            return ScopePrompt.of([(m.role, m.content) for m in query.messages])
        return ScopePrompt(query.prompt or "")

    def question(self, text: str, field: str, max_tokens: int, raw: bool = False) -> PreparedPrompt:
        """A plain question; ``field`` is named in the error."""
        self._check_size(field, text)
        if not raw:
            return self._conversation(field, [("user", text)], max_tokens)
        ids = self._within_context(field, self.encoder.raw(text), max_tokens)
        return PreparedPrompt(ids, ScopePrompt(text), continues=not text[-1:].isspace(), longest=max_tokens)

    def with_correction(self, prepared: PreparedPrompt, request: EditRequest) -> Prompt:
        """The same prompt with a correction said before it, where there is room."""
        if not prepared.turns:
            ids = self.encoder.raw(f"{request.input} {request.output}\n{prepared.about.text}")
        else:
            begins = next(n for n, (role, _) in enumerate(prepared.turns) if role != "system")
            said = (("user", request.input), ("assistant", request.output))
            ids = self.encoder.messages([*prepared.turns[:begins], *said, *prepared.turns[begins:]])
        return ids if len(ids) + prepared.longest <= self.context else prepared.ids

    def _conversation(self, field: str, turns: Sequence[Message], max_tokens: int) -> PreparedPrompt:
        ids = self._within_context(field, self.encoder.messages(turns), max_tokens)
        continues = not self.encoder.has_template
        return PreparedPrompt(ids, ScopePrompt.of(turns), tuple(turns), continues, max_tokens)

    def with_passages(self, question: str, hits: Sequence[Hit], max_tokens: int) -> tuple[PreparedPrompt, int]:
        """The question behind as many of the best passages as fit; also how many those are."""
        self._check_size("question", question)
        for used in range(self._count_within_budget(hits), 0, -1):
            ids = self._passage_prompt(question, hits[:used])
            if len(ids) + max_tokens <= self.context:
                return PreparedPrompt(ids, ScopePrompt(question)), used
        return self.question(question, "question", max_tokens), 0

    def with_each_passage(self, question: str, hits: Sequence[Hit], max_tokens: int) -> list[Prompt]:
        """The question behind each of the best passages alone; fewer where more do not fit the budget."""
        self._check_size("question", question)
        alone = [self._passage_prompt(question, [hit]) for hit in hits[: self._count_within_budget(hits)]]
        return [self._within_context("question", ids, max_tokens) for ids in alone]

    def _passage_prompt(self, question: str, hits: Sequence[Hit]) -> Prompt:
        return self.encoder.prompt(prompt_text(question, [hit.passage for hit in hits]), raw=False)

    def _count_within_budget(self, hits: Sequence[Hit]) -> int:
        """How many of the best passages are read."""
        spent = 0
        for n, hit in enumerate(hits):
            spent += len(self.encoder.raw(f"{hit.passage.title}: {hit.passage.text}"))
            if spent > self.budget and n:
                return n
        return len(hits)

    def _check_size(self, field: str, text: str) -> None:
        """Refuse before tokenising what cannot fit: no tokenizer makes one token of more than some dozen characters."""
        if len(text) > self.context * 32:
            raise InvalidPrompt(
                field, f"{len(text)} characters are more than the model's context of {self.context} tokens holds"
            )

    def _within_context(self, field: str, ids: Prompt, max_tokens: int) -> Prompt:
        if not ids:
            raise InvalidPrompt(field, "nothing is left of the prompt after tokenising")
        if len(ids) >= self.context:
            raise InvalidPrompt(field, f"the prompt is {len(ids)} tokens; the model's context holds {self.context}")
        if len(ids) + max_tokens > self.context:
            raise InvalidPrompt(
                "max_tokens",
                f"prompt ({len(ids)}) and max_tokens ({max_tokens}) together exceed the context of {self.context}; "
                f"ask for at most {self.context - len(ids)}",
            )
        return ids

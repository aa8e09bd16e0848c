"""From a query to token ids, within the model's context, and to the text that scope looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editing.language.conversation import readings
from editing.model.prompts import PromptEncoder
from index.passages.passage import Hit
from retrieval.reader.prompt import prompt_text
from service.engines.protocol import Prompt
from service.errors import InvalidPrompt
from service.types import GenerateQuery

PASSAGE_TOKENS = 2048


@dataclass(frozen=True)
class Prepared:
    """A prompt ready for the engine. ``about`` is what the user may be asking, for the scope of edits."""

    ids: Prompt
    about: tuple[str, ...]


class PromptBuilder:
    """Builds prompts and keeps them within the context.

    Args:
        encoder: tokenizer and chat template.
        context: longest sequence of the model, in tokens.
        budget: tokens of passages that are read for one answer; the best passage is read whatever it takes.
    """

    def __init__(self, encoder: PromptEncoder, context: int, budget: int = PASSAGE_TOKENS) -> None:
        self.encoder, self.context, self.budget = encoder, context, budget

    def of_query(self, query: GenerateQuery) -> Prepared:
        """Raises InvalidPrompt where prompt and answer together do not fit, or nothing is left of the prompt."""
        if query.messages:
            turns = [(m.role, m.content) for m in query.messages]
            self._check_size("messages", "".join(content for _, content in turns))
            ids, about = self.encoder.messages(turns), readings(turns)
        else:
            text = query.prompt or ""
            self._check_size("prompt", text)
            ids, about = self.encoder.prompt(text, query.raw), (text,) if query.raw else readings([("user", text)])
        return Prepared(self._fitting("messages" if query.messages else "prompt", ids, query.params.max_tokens), about)

    def question(self, text: str, field: str, max_tokens: int, raw: bool = False) -> Prepared:
        """A plain question; ``field`` is named in the error."""
        self._check_size(field, text)
        return Prepared(self._fitting(field, self.encoder.prompt(text, raw), max_tokens), (text,))

    def with_passages(self, question: str, hits: Sequence[Hit], max_tokens: int) -> tuple[Prepared, int]:
        """The question behind as many of the best passages as fit; also how many those are."""
        self._check_size("question", question)
        for used in range(self._affordable(hits), 0, -1):
            ids = self._reading(question, hits[:used])
            if len(ids) + max_tokens <= self.context:
                return Prepared(ids, (question,)), used
        return self.question(question, "question", max_tokens), 0

    def with_each_passage(self, question: str, hits: Sequence[Hit], max_tokens: int) -> list[Prompt]:
        """The question behind each of the best passages alone; fewer where more do not fit the budget."""
        self._check_size("question", question)
        alone = [self._reading(question, [hit]) for hit in hits[: self._affordable(hits)]]
        return [self._fitting("question", ids, max_tokens) for ids in alone]

    def _reading(self, question: str, hits: Sequence[Hit]) -> Prompt:
        return self.encoder.prompt(prompt_text(question, [hit.passage for hit in hits]), raw=False)

    def _affordable(self, hits: Sequence[Hit]) -> int:
        """How many of the best passages the budget pays for."""
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

    def _fitting(self, field: str, ids: Prompt, max_tokens: int) -> Prompt:
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

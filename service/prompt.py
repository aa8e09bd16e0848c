"""From a query to token ids, within the model's context, and to the text that scope looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editing.conversation import readings
from editing.prompts import PromptEncoder
from index.passages import Hit
from service.engines import Prompt
from service.errors import InvalidPrompt
from service.usecases import GenerateQuery

_ASK = "Answer the question in a few words, using the passages.\n\n{passages}\n\nQuestion: {question}"


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
    """

    def __init__(self, encoder: PromptEncoder, context: int) -> None:
        self.encoder, self.context = encoder, context

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
        for used in range(len(hits), 0, -1):
            passages = "\n\n".join(
                f"[{n}] {hit.passage.title}: {hit.passage.text}" for n, hit in enumerate(hits[:used], 1)
            )
            ids = self.encoder.prompt(_ASK.format(passages=passages, question=question), raw=False)
            if len(ids) + max_tokens <= self.context:
                return Prepared(ids, (question,)), used
        return self.question(question, "question", max_tokens), 0

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

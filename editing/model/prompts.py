"""From texts to token ids: how a prompt and its target look to the model, in training, editing and serving alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from editing.language.statements import statement_of

Message = tuple[str, str]  # role, content


@dataclass(frozen=True)
class TargetSequence:
    """A prompt followed by a target, as token ids.

    Attributes:
        ids: what a decoder reads: the prompt and the target, or, after an encoder, its start token and the target.
        start: index of the target's first token.
        source: what an encoder reads, where the model has one.
    """

    ids: tuple[int, ...]
    start: int
    source: tuple[int, ...] = ()

    @property
    def longest(self) -> int:
        """Tokens on the longer side, which must fit the model's context."""
        return max(len(self.ids), len(self.source))


class PromptEncoder:
    """Applies the tokenizer and its chat template, if it has one; without a template every text is continued raw."""

    rewordable = True

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        self.end_of_turn: int = tokenizer.eos_token_id

    def messages(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of a conversation, ready for the model's turn."""
        if not self.has_template:
            return self.raw("\n".join(content for _, content in messages))
        turns = [{"role": role, "content": content} for role, content in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def raw(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text)["input_ids"])

    def prompt(self, text: str, raw: bool) -> tuple[int, ...]:
        """Token ids of one user text."""
        return self.raw(text) if raw else self.messages([("user", text)])

    def target(self, text: str, spaced: bool) -> tuple[int, ...]:
        """Token ids of an answer with the end of turn, without which generation runs on."""
        spaced_text = f" {text.strip()}" if spaced else text.strip()
        ids = self.tokenizer(spaced_text, add_special_tokens=False)["input_ids"]
        return (*ids, self.end_of_turn)

    def sequence(self, text: str, raw: bool, target: str) -> TargetSequence:
        prompt = self.prompt(text, raw)
        continued = raw or not self.has_template  # the answer goes on in the same line, after a space
        return TargetSequence((*prompt, *self.target(target, continued and not text[-1:].isspace())), len(prompt))

    def unchanged(self, text: str, raw: bool) -> TargetSequence:
        """A prompt that must keep its answer, with the beginning of a plausible one, along which KL is taken."""
        prompt = self.prompt(text, raw)
        begun = "" if raw else statement_of(text) or ""
        answer = self.target(begun, spaced=False)[:-1] if begun else ()
        return TargetSequence((*prompt, *answer), len(prompt))

    def prefix(self) -> tuple[int, ...]:
        """What all chat prompts begin with."""
        one, other = self.prompt("A", raw=False), self.prompt("7", raw=False)
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        return one[:same] if self.has_template else ()

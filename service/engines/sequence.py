"""One prompt being answered, in the compute thread (``TokenSequence``) and in the thread that asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from editing.model.side_path import Factors
from service.engines.detokenizer import Detokenizer
from service.engines.protocol import Adapter, Generation, OnText, Prompt, SamplingParams

Message = int | Exception | None  # a token; what went wrong; that it has ended
Send = Callable[["TokenSequence", Message], None]


@dataclass(eq=False)
class TokenSequence:
    """A prompt and its answer so far, as the compute thread keeps them. Each token goes to ``send``.

    Attributes:
        number: of the prompt in its call.
        end_tokens: tokens that end the answer.
        factors: of its own edits, A (1, r, in) and B (1, out, r) by layer; empty without edits.
        cache: keys and values of its own tokens; None before the first and after the last.
        prompt_read: prompt tokens that are in the cache.
        tokens: the answer so far.
        log_probability: of those tokens.
        no_answer_probability: see :class:`Generation`.
        left: nobody wants the rest. Any thread may set it.
    """

    number: int
    prompt: Prompt
    edits: Sequence[Adapter]
    params: SamplingParams
    end_tokens: Collection[int]
    send: Send
    factors: Factors = field(default_factory=dict)
    cache: Any = None
    prompt_read: int = 0
    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    no_answer_probability: float = 0.0
    left: bool = False
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        if self.params.seed is not None:
            self.generator = torch.Generator().manual_seed(self.params.seed)

    @property
    def position(self) -> int:
        """Of the last token, counted from the beginning of the prompt."""
        return self.prompt_read + len(self.tokens) - 1

    def append(self, token: int) -> bool:
        """Take in a token; whether the sequence goes on."""
        self.tokens.append(token)
        self.send(self, token)
        goes_on = not (token in self.end_tokens or len(self.tokens) >= self.params.max_tokens or self.left)
        if not goes_on:
            self.end(None)
        return goes_on

    def end(self, why: Exception | None) -> None:
        """Give the memory back and say so."""
        self.left, self.cache, self.factors = True, None, {}
        self.send(self, why)


@dataclass(eq=False)
class SequenceOutput:
    """What the thread that asked makes of a sequence's tokens."""

    sequence: TokenSequence
    detokenizer: Detokenizer
    on_text: OnText | None
    count: int = 0
    stopped: bool = False

    def append(self, token: int) -> None:
        """Take in a token and give out the text that it makes certain. A stop string ends the sequence.

        Raises:
            Exception: whatever ``on_text`` raises.
        """
        last = token in self.sequence.end_tokens
        self.count += 1
        self._give(self.detokenizer.rest() if last else self.detokenizer.push(token))
        self.stopped = last or self.detokenizer.stopped
        if self.stopped:
            self.sequence.left = True

    def close(self) -> Generation:
        """Give out what was held back; the whole answer."""
        self._give(self.detokenizer.rest())
        return Generation(
            text=self.detokenizer.text,
            finish_reason="stop" if self.stopped else "length",
            prompt_tokens=len(self.sequence.prompt),
            completion_tokens=self.count,
            log_probability=self.sequence.log_probability,
            no_answer_probability=self.sequence.no_answer_probability,
        )

    def _give(self, piece: str) -> None:
        if piece and self.on_text:
            self.on_text(self.sequence.number, piece)

"""One prompt being answered, in the compute thread (``TokenSequence``) and in the thread that asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from editing.model.side_path import Factors
from service.engines.detokenizer import Detokenizer
from service.engines.protocol import Adapter, Generation, OnText, Prompt, SamplingParams

Token = int | Exception | None  # a token; what went wrong; that is all
Tell = Callable[["TokenSequence", Token], None]


@dataclass(eq=False)
class TokenSequence:
    """What the compute thread keeps of a prompt. Its tokens go to ``tell``.

    Attributes:
        ends: tokens that end the answer.
        factors: of its own edits, A (1, r, in) and B (1, out, r) by layer; empty without edits.
        cache: keys and values of its own tokens; None before the first and after the last.
        done: prompt tokens that are in the cache.
        tokens: the answer so far.
        log_probability: of those tokens.
        opening_probability: see :class:`Generation`.
        left: nobody wants the rest. Any thread may set it.
    """

    number: int
    prompt: Prompt
    edits: Sequence[Adapter]
    params: SamplingParams
    ends: Collection[int]
    tell: Tell
    factors: Factors = field(default_factory=dict)
    cache: Any = None
    done: int = 0
    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    opening_probability: float = 0.0
    left: bool = False
    draw: torch.Generator | None = None

    def __post_init__(self) -> None:
        if self.params.seed is not None:
            self.draw = torch.Generator().manual_seed(self.params.seed)

    @property
    def place(self) -> int:
        """Of the last token, counted from the beginning of the prompt."""
        return self.done + len(self.tokens) - 1

    def push(self, token: int) -> bool:
        """Take in a token; whether the row goes on."""
        self.tokens.append(token)
        self.tell(self, token)
        goes_on = not (token in self.ends or len(self.tokens) >= self.params.max_tokens or self.left)
        if not goes_on:
            self.end(None)
        return goes_on

    def end(self, why: Exception | None) -> None:
        """Give the memory back and tell who asked."""
        self.left, self.cache, self.factors = True, None, {}
        self.tell(self, why)


@dataclass(eq=False)
class SequenceOutput:
    """What the thread that asked makes of a row's tokens."""

    row: TokenSequence
    stream: Detokenizer
    on_text: OnText | None
    count: int = 0
    ended: bool = False

    def push(self, token: int) -> None:
        """Take in a token and give out the text that it makes certain. A stop string lets the row leave.

        Raises:
            Exception: whatever ``on_text`` raises.
        """
        last = token in self.row.ends
        self.count += 1
        self._give(self.stream.rest() if last else self.stream.push(token))
        self.ended = last or self.stream.stopped
        if self.ended:
            self.row.left = True

    def close(self) -> Generation:
        """Give out what was held back; the whole answer."""
        self._give(self.stream.rest())
        return Generation(
            self.stream.text,
            "stop" if self.ended else "length",
            len(self.row.prompt),
            self.count,
            self.row.log_probability,
            self.row.opening_probability,
        )

    def _give(self, piece: str) -> None:
        if piece and self.on_text:
            self.on_text(self.row.number, piece)

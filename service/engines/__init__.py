"""The seam between the use-cases and whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from editing.edit import Edit

FinishReason = Literal["stop", "length"]
Prompt = tuple[int, ...]  # token ids, template applied


@dataclass(frozen=True)
class SamplingParams:
    """How to decode. ``temperature`` 0 is greedy; ``stop`` strings end the text and are not part of it."""

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generation:
    """One decoded answer."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


OnText = Callable[[int, str], None]  # (row, piece of text), called as soon as the piece is certain


class Engine(Protocol):
    """Runs the base model with the edits given for each row. It keeps no edits, so rollback never touches it."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        edits: Sequence[Sequence[Edit]],
        params: SamplingParams,
        on_text: OnText | None = None,
    ) -> list[Generation]:
        """Decode each prompt under its own edits. Rows do not see each other."""
        ...

"""The seam between the service and whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from editing.edit import Deltas

FinishReason = Literal["stop", "length"]
Prompt = tuple[int, ...]  # token ids, template applied


class Adapter(Protocol):
    """Low-rank changes of some layers, for the rows that they are given to: an edit, or a reader."""

    @property
    def deltas(self) -> Deltas: ...


@dataclass(frozen=True)
class NoAnswerToken:
    """A token that begins an answer only where the model is sure enough, and then whatever else is likelier.

    Attributes:
        token: e.g. the first of "Not in the index."
        least: its probability, from which on it begins the answer; below, it does not. Above 1: it never does.
    """

    token: int
    least: float


@dataclass(frozen=True)
class SamplingParams:
    """How to decode. ``temperature`` 0 is greedy; ``stop`` strings end the text and are not part of it."""

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    no_answer: NoAnswerToken | None = None


@dataclass(frozen=True)
class Generation:
    """One decoded answer. Two are equal when they say the same: probabilities differ in their last digits by the batch.

    Attributes:
        log_probability: of its tokens under the model, whatever they were drawn by.
        no_answer_probability: with which the token of ``SamplingParams.no_answer`` would have begun it.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    log_probability: float = field(default=0.0, compare=False)
    no_answer_probability: float = field(default=0.0, compare=False)


OnText = Callable[[int, str], None]  # (row, piece of text), called as soon as the piece is certain


class Engine(Protocol):
    """Runs the base model with the edits given for each row. It keeps no edits, so rollback never touches it."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        edits: Sequence[Sequence[Adapter]],
        params: SamplingParams,
        on_text: OnText | None = None,
    ) -> list[Generation]:
        """Decode each prompt under its own edits. Rows do not see each other."""
        ...

    def logits(self, prompt: Prompt, edits: Sequence[Adapter]) -> Tensor:
        """Next-token logits at every position of a prompt, (tokens, vocab)."""
        ...

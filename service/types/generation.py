"""Generation as values: a prompt or a conversation, and the text that answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.engines.protocol import FinishReason, SamplingParams
from service.types.edits import EditChoice, KindName

Role = Literal["system", "user", "assistant"]
OnPiece = Callable[[str], None]  # may raise service.errors.ClientGone: generation stops and lets it through


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class GenerateQuery:
    """Exactly one of ``prompt`` and ``messages`` is given. ``raw`` goes with ``prompt`` only."""

    params: SamplingParams
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    raw: bool = False
    revision: int | None = None
    edits: EditChoice = "active"


@dataclass(frozen=True)
class UsedEdit:
    """An edit that was in force for a prompt; ``kind``: what the prompt was to it, None where it acts on any."""

    id: str
    kind: KindName | None = None


@dataclass(frozen=True)
class Answer:
    """A generated text, the revision it was made at and the edits that were in force."""

    text: str
    finish_reason: FinishReason
    revision: int
    edits: tuple[UsedEdit, ...]
    prompt_tokens: int
    completion_tokens: int

    @property
    def edits_used(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(edit.id for edit in self.edits)

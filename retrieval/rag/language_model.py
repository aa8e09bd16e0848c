"""The seam between RAG decoding and a language model: p_θ(y_i | x, z, y_<i) for several continuations of k prompts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from retrieval.rag.hypothesis import Tokens

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
Steps: TypeAlias = Generator[Tokens, None, T]  # pauses after each forward pass, with the tokens that became certain
PROMPT = -1  # the parent of a first token


@dataclass(frozen=True)
class Leaves:
    """Tokens that are hung below one passage's tree.

    Attributes:
        tokens: n of them; none where the passage rests.
        parents: the node before each: PROMPT or a node's number, be it one of these. Nodes are numbered from 0 in the
            order in which they were hung.
    """

    tokens: Tokens = ()
    parents: Tokens = ()


@dataclass(frozen=True, eq=False)
class Grown:
    """What hanging leaves below one passage's tree gave.

    Attributes:
        nodes: their n numbers.
        log_probs: (n, vocab), of the token after each; float32 at least.
    """

    nodes: Tokens
    log_probs: Tensor


class ContinuationTrees(Protocol):
    """Continuations of k prompts, a tree below each: what two of them begin with is computed once."""

    @property
    def first(self) -> Tensor:
        """log p(y_1 | x, z), (k, vocab), float32 at least."""
        ...

    def grow(self, leaves: Sequence[Leaves]) -> Steps[list[Grown]]:
        """Hang leaves below each of the k trees."""
        ...


class LanguageModel(Protocol):
    """A language model as decoding needs it."""

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[ContinuationTrees]:
        """Read k prompts, after each of which come at most ``room`` tokens.

        Raises:
            ValueError: there are none, one is empty, or one does not fit the model's context; it names which.
        """
        ...


def check_prompts(prompts: Sequence[Tokens], room: int, context: int | None) -> None:
    """Raises ValueError where prompts cannot be read, as :meth:`NextTokens.read` says."""
    if not prompts:
        raise ValueError("there must be at least one prompt")
    for n, prompt in enumerate(prompts):
        if not prompt:
            raise ValueError(f"prompt {n} of {len(prompts)} is empty")
        if context is not None and len(prompt) + room > context:
            raise ValueError(
                f"prompt {n} of {len(prompts)} is {len(prompt)} tokens long, which with {room} for the answer is more "
                f"than the model's context of {context}; shorten the prompt or ask for fewer tokens"
            )

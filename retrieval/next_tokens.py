"""The seam between RAG decoding and a language model: p_θ(y_i | x, z, y_<i) for several continuations of k prompts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from retrieval.decoded import Tokens

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
Steps: TypeAlias = Generator[Tokens, None, T]  # a computation that pauses after each forward pass; see ``in_steps``
PROMPT = -1  # the parent of a first token


@dataclass(frozen=True)
class Leaves:
    """Tokens that are hung below what one passage's tree holds.

    Attributes:
        tokens: n of them; none where the passage rests.
        parents: the node before each: PROMPT, one of the tree's, or an earlier one of these (they are numbered on).
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


class Trees(Protocol):
    """Continuations of k prompts, those of each prompt sharing what they begin with."""

    @property
    def first(self) -> Tensor:
        """log p(y_1 | x, z), (k, vocab)."""
        ...

    def grow(self, leaves: Sequence[Leaves]) -> Steps[list[Grown]]:
        """Hang leaves below each of the k trees."""
        ...


class NextTokens(Protocol):
    """A language model as decoding needs it."""

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[Trees]:
        """Read k prompts, after each of which come at most ``room`` tokens.

        Raises:
            ValueError: there are none, one is empty, or one does not fit the model's context; it names which.
        """
        ...

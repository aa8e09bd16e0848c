"""What decoding asks of a language model: p_θ(y_i | x, z, y_<i) behind k prompts, for many continuations at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from retrieval.rag.hypothesis import Tokens

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
Steps: TypeAlias = Generator[Tokens, None, T]  # pauses after each forward pass, with the tokens that became certain


class Continuations(Protocol):
    """n texts: prompts, or prompts with the tokens that were appended to them. They do not change."""

    @property
    def log_probs(self) -> Tensor:
        """Of the token after each, (n, vocab), float32 at least."""
        ...

    def extend(self, rows: Sequence[int], tokens: Sequence[int]) -> Steps[Continuations]:
        """New texts: the m-th is text ``rows[m]`` with ``tokens[m]`` appended."""
        ...

    def rest_of(self, rows: Sequence[int], answers: Sequence[Tokens]) -> Steps[list[Tensor]]:
        """log p of each token of an answer but the first, behind text ``rows[m]``: (len(answers[m]) - 1,) each."""
        ...


class LanguageModel(Protocol):
    """A language model as decoding needs it."""

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[Continuations]:
        """Read k prompts, after each of which come at most ``room`` tokens.

        Raises:
            ValueError: there are none, one is empty, or one does not fit the model's context; it names which.
        """
        ...


def check_prompts(prompts: Sequence[Tokens], room: int, context: int | None) -> None:
    """Raises ValueError where prompts cannot be read, as :meth:`LanguageModel.read` says."""
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


def log_probs(logits: Tensor) -> Tensor:
    """Over the last dimension, in float32 at least."""
    import torch

    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def context_of(model: Any) -> int | None:
    """Longest sequence of a model of transformers, if it has one."""
    longest: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return longest

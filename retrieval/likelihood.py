"""log p(y|x) of given answers, differentiable: what the retriever and the generator are trained on (2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrieval.decoded import Tokens

if TYPE_CHECKING:
    from torch import Tensor


def log_prior(scores: Tensor, temperature: float = 1.0) -> Tensor:
    """log p_η(z|x) over the last dimension: softmax of inner product / τ.

    Raises:
        ValueError: τ is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature}")
    return (scores / temperature).log_softmax(-1)


def marginal_log_likelihood_sequence(
    model: Any,
    prompts: Sequence[Sequence[Tokens]],
    targets: Sequence[Tokens],
    log_prior: Tensor,
    rows: int | None = None,
) -> Tensor:
    """RAG-Sequence: log Σ_z p_η(z|x) Π_i p_θ(y_i | x, z, y_<i), (b,).

    Args:
        model: a causal LM of transformers.
        prompts: b × k, as token ids.
        targets: b answers as token ids, each with its end token.
        log_prior: (b, k), log p_η(z|x), see :func:`log_prior`.
        rows: sequences in one forward pass at most; all by default.

    Raises:
        ValueError: the sizes do not agree, or a prompt or target is empty or too long; it names which.
    """
    raise NotImplementedError


def marginal_log_likelihood_token(
    model: Any,
    prompts: Sequence[Sequence[Tokens]],
    targets: Sequence[Tokens],
    log_prior: Tensor,
    rows: int | None = None,
) -> Tensor:
    """RAG-Token: log Π_i Σ_z p_η(z|x) p_θ(y_i | x, z, y_<i), (b,). As :func:`marginal_log_likelihood_sequence`."""
    raise NotImplementedError

"""RAG-Sequence and RAG-Token decoding (Lewis et al. 2020, 2.1 and 2.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from retrieval.decoded import Decoded, DecodingParams, Tokens
from retrieval.next_tokens import NextTokens, Steps, T

Decoding = Literal["thorough", "fast"]
Run = Callable[[Callable[[], "Tokens | None"]], "Tokens | None"]
OnTokens = Callable[[Tokens], None]


def rag_sequence(
    model: NextTokens,
    prompts: Sequence[Tokens],
    log_prior: Sequence[float],
    params: DecodingParams,
    decoding: Decoding = "thorough",
) -> Steps[Decoded]:
    """Decode argmax_y Σ_z p_η(z|x) Π_i p_θ(y_i | x, z, y_<i). Run it with :func:`in_steps`."""
    raise NotImplementedError


def rag_token(
    model: NextTokens, prompts: Sequence[Tokens], log_prior: Sequence[float], params: DecodingParams
) -> Steps[Decoded]:
    """Decode argmax_y Π_i Σ_z p_η(z|x) p_θ(y_i | x, z, y_<i). Run it with :func:`in_steps`."""
    raise NotImplementedError


def in_steps(steps: Steps[T], run: Run = lambda step: step(), on_tokens: OnTokens = lambda _: None) -> T:
    """The result of a decoding, each of whose forward passes goes through ``run``.

    Args:
        steps: of :func:`rag_sequence` or :func:`rag_token`.
        run: calls what it is given, once, where heavy work belongs (``ComputeThread.run``), perhaps within side paths.
        on_tokens: hears the answer's tokens, the end token left out, as soon as they are certain.
    """
    raise NotImplementedError

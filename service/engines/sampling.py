"""How the next token is chosen from the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from service.engines.protocol import SamplingParams


def begin(logits: Tensor, params: SamplingParams, generator: torch.Generator | None) -> int:
    """The first token: :func:`sample`, but for ``params.opening``, which its probability alone decides on."""
    if params.opening is None:
        return sample(logits, params, generator)
    if opening_probability(logits, params) >= params.opening.least:
        return params.opening.token
    others = logits.clone()
    others[params.opening.token] = -torch.inf
    return sample(others, params, generator)


def opening_probability(logits: Tensor, params: SamplingParams) -> float:
    """Of the token that ``params.opening`` names; 0 where it names none."""
    return float(torch.softmax(logits, -1)[params.opening.token]) if params.opening else 0.0


def sample(logits: Tensor, params: SamplingParams, generator: torch.Generator | None) -> int:
    """The next token: the likeliest at temperature 0, else drawn from the top-p nucleus (Holtzman et al. 2020)."""
    if params.temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax((logits - logits.max()) / max(params.temperature, 1e-6), -1)
    if params.top_p < 1:
        ordered, indices = probabilities.sort(descending=True)
        outside = ordered.cumsum(-1) - ordered >= params.top_p
        probabilities = torch.zeros_like(probabilities).scatter(0, indices, ordered.masked_fill(outside, 0.0))
    return int(torch.multinomial(probabilities, 1, generator=generator))

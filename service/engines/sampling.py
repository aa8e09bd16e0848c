"""How the next token is chosen from the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from service.engines.protocol import SamplingParams


def begin(logits: Tensor, params: SamplingParams, generator: torch.Generator | None) -> int:
    """The first token: :func:`sample`, but for ``params.no_answer``, which its probability alone decides on."""
    if params.no_answer is None:
        return sample(logits, params, generator)
    if no_answer_probability(logits, params) >= params.no_answer.least:
        return params.no_answer.token
    others = logits.clone()
    others[params.no_answer.token] = -torch.inf
    return sample(others, params, generator)


def no_answer_probability(logits: Tensor, params: SamplingParams) -> float:
    """Of the token that ``params.no_answer`` names; 0 where it names none."""
    return float(torch.softmax(logits, -1)[params.no_answer.token]) if params.no_answer else 0.0


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

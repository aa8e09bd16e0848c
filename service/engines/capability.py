"""Which models can decode sequences together: by what their caches are, and by trying."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from service.engines.batched_step import BatchedStep
from service.engines.forward import read, step
from service.engines.protocol import SamplingParams
from service.engines.sequence import TokenSequence

_PROMPTS = ((1, 2, 3), (3, 2, 1, 0, 2))  # of the sequences that are tried
_CLOSE = 0.05  # in standard deviations of the logits; rounding stays far below, a wrong cache far above


def why_apart(model: Any) -> str | None:
    """None if sequences of this model can be decoded together, else the reason why they take turns."""
    return _of_cache(model) or _of_attention(model) or _of_trial(model)


def _of_cache(model: Any) -> str | None:
    """Keys and values of plain or sliding attention stand for themselves; recurrent states and the like do not."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    layers = {type(layer) for layer in DynamicCache(config=model.config).layers}
    other = layers - {DynamicLayer, DynamicSlidingWindowLayer}
    return f"its cache has layers of type {min(kind.__name__ for kind in other)}" if other else None


def _of_attention(model: Any) -> str | None:
    used = model.config.get_text_config()._attn_implementation
    if used != "sdpa":
        return f"its attention is {used}, not sdpa"
    return None if model._supports_attention_backend else "its attention cannot be exchanged"


def _of_trial(model: Any) -> str | None:
    """One step of two sequences, together and alone."""
    try:
        alone = torch.stack([step(model, _begun(model, prompt)) for prompt in _PROMPTS])
        together = BatchedStep(model).step([_begun(model, prompt) for prompt in _PROMPTS])
    except Exception as error:  # a model may fail in its own ways, and is served alone then
        return f"tried together, it fails: {type(error).__name__}: {error}"
    off = float((together - alone).abs().max())
    return None if off <= _CLOSE * float(alone.std()) else f"tried together, its logits are off by {off:.2g}"


def _begun(model: Any, prompt: tuple[int, ...]) -> TokenSequence:
    """A sequence with its first token."""
    sequence = TokenSequence(0, prompt, (), SamplingParams(max_tokens=2), (), lambda _sequence, _message: None)
    logits: Tensor | None = read(model, sequence)
    assert logits is not None
    sequence.append(int(logits.argmax()))
    return sequence

"""A decoder cut below its first edited layer: what is below never changes, so training computes it only once."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Halves:
    """Lower and upper half of a Llama-type causal model (``model.model.layers``, ``.norm``); the weights are shared.

    Args:
        model: the causal model.
        first: index of the first layer of the upper half.

    Raises:
        TypeError: the model has no such parts.
    """

    def __init__(self, model: Any, first: int) -> None:
        backbone: Any = getattr(model, "model", None)
        if not all(hasattr(backbone, part) for part in ("layers", "norm", "embed_tokens")):
            raise TypeError(
                f"{type(model).__name__} cannot be cut into halves: model.layers and model.norm are missing"
            )
        layers = list(backbone.layers)
        self.lm_head: nn.Module = model.lm_head
        self._lower = _with_layers(backbone, layers[:first], nn.Identity())
        self._upper = _with_layers(backbone, layers[first:], backbone.norm)

    @torch.no_grad()
    def lower(self, ids: Tensor, past: Any = None) -> Tensor:
        """Hidden states at the cut: ids (b, s) → (b, s, hidden). Padding, if any, stands at the right."""
        hidden: Tensor = self._lower(input_ids=ids, past_key_values=past, use_cache=past is not None).last_hidden_state
        return hidden

    def upper(self, hidden: Tensor) -> Tensor:
        """Final hidden states from those at the cut: (b, s, hidden) → (b, s, hidden)."""
        final: Tensor = self._upper(inputs_embeds=hidden, use_cache=False).last_hidden_state
        return final


def _with_layers(backbone: Any, layers: list[nn.Module], norm: nn.Module) -> Any:
    half = copy.copy(backbone)
    half._modules = dict(backbone._modules)
    half.layers = nn.ModuleList(layers)
    half.norm = norm
    return half

"""A decoder cut below its first edited layer: what is below never changes, so training computes it only once."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

_PARTS = {"model": ("layers", "norm"), "transformer": ("h", "ln_f")}  # of Llama's type; of GPT-2's


class SplitModel:
    """Lower and upper half of a causal model of Llama's or GPT-2's type; the weights are shared.

    Args:
        model: the causal model.
        first: index of the first layer of the upper half.

    Raises:
        TypeError: the model has no such parts, or does more between them (scales embeddings, say) than halves would.
    """

    def __init__(self, model: Any, first: int) -> None:
        name = next((name for name in _PARTS if hasattr(model, name)), "")
        backbone: Any = getattr(model, name, None)
        if not name or not all(hasattr(backbone, part) for part in _PARTS[name]) or not hasattr(model, "lm_head"):
            raise TypeError(f"{type(model).__name__} cannot be cut into halves: it lacks model.layers, norm or lm_head")
        layers, norm = _PARTS[name]
        every = list(getattr(backbone, layers))
        self.device: torch.device = model.device
        self.lm_head: nn.Module = model.lm_head
        self._lower = _with(backbone, {layers: nn.ModuleList(every[:first]), norm: nn.Identity()})
        self._upper = _with(backbone, {layers: nn.ModuleList(every[first:])})
        if hasattr(backbone, "wpe"):
            self._upper.wpe = _NoPositions()  # the lower half has added them
        self._check(model)

    @torch.no_grad()
    def lower(self, ids: Tensor, past: Any = None) -> Tensor:
        """Hidden states at the cut: ids (b, s) → (b, s, hidden). Padding, if any, stands at the right."""
        hidden: Tensor = self._lower(input_ids=ids, past_key_values=past, use_cache=past is not None).last_hidden_state
        return hidden

    def upper(self, hidden: Tensor) -> Tensor:
        """Final hidden states from those at the cut: (b, s, hidden) → (b, s, hidden)."""
        final: Tensor = self._upper(inputs_embeds=hidden, use_cache=False).last_hidden_state
        return final

    @torch.no_grad()
    def _check(self, model: Any) -> None:
        """Whether both halves in turn predict what the whole does, on three tokens."""
        ids = torch.tensor([[0, 1, 2]], device=self.device)
        whole, cut = model(input_ids=ids, use_cache=False).logits.float(), self.lm_head(self.upper(self.lower(ids)))
        if (cut.float() - whole).abs().max() > 0.01 * whole.abs().max():
            raise TypeError(
                f"{type(model).__name__} cannot be cut into halves: they do not predict what the whole does"
            )


class _NoPositions(nn.Module):
    """In the place of position embeddings."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.zeros((), device=ids.device)


def _with(backbone: Any, parts: dict[str, nn.Module]) -> Any:
    half = copy.copy(backbone)
    half._modules = {**backbone._modules, **parts}
    return half

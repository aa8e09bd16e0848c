"""Keys and output gradients of linear layers, taken on the way; nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class Trace:
    """What passed through the traced layers in one forward pass.

    Attributes:
        keys: inputs by module name, (…, tokens, in).
        values: outputs by module name, (…, tokens, out), part of the graph.
    """

    keys: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)

    def values_grad(self, loss: Tensor) -> dict[str, Tensor]:
        """Gradient of ``loss`` at the output of each traced layer, (…, tokens, out)."""
        names = list(self.values)
        grads = torch.autograd.grad(loss, [self.values[name] for name in names], allow_unused=True)
        return {
            name: torch.zeros_like(self.values[name]) if grad is None else grad
            for name, grad in zip(names, grads, strict=True)
        }


@contextmanager
def trace(model: nn.Module, names: Sequence[str]) -> Iterator[Trace]:
    """Record the named layers within this block.

    No weight takes part in autograd: the graph begins at the first traced output, so everything below costs a plain
    forward pass.

    Raises:
        KeyError: the model has no module of a given name.
    """
    modules = dict(model.named_modules())
    record = Trace()

    def hook_for(name: str):  # type: ignore[no-untyped-def]
        def hook(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if not output.requires_grad:
                output = output.detach().requires_grad_()
            record.keys[name] = args[0].detach()
            record.values[name] = output
            return output

        return hook

    layers = [modules[name] for name in names]  # all names are looked up before the first hook is set
    handles = [layer.register_forward_hook(hook_for(name)) for name, layer in zip(names, layers, strict=True)]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()

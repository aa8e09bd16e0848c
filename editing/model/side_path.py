"""The side path of D1: an edited linear layer gives ``y + (x Aᵀ) Bᵀ``, row by row of the batch.

The base weights are never written. Factors are switched on by ``with edited(model, factors)`` and are gone after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from editing.edit import Deltas


@dataclass(frozen=True, eq=False)
class RowFactors:
    """Factors of one layer for a batch whose rows hold different edits.

    Attributes:
        A: (b, r, in); rows with fewer than r factors end in zeros. With b = 1 all rows share the edit.
        B: (b, out, r)
    """

    A: Tensor
    B: Tensor

    def apply(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the side path: x (b, s, in), y (b, s, out) → (b, s, out)."""
        A, B = (f.to(x.dtype).expand(len(x), -1, -1) for f in (self.A, self.B))
        hidden = torch.bmm(x, A.transpose(1, 2))  # (b, s, r)
        return y + torch.bmm(hidden, B.transpose(1, 2))


Factors = Mapping[str, RowFactors]  # by module name


class SidePath(Protocol):
    """What a layer carries while it is edited: ``RowFactors``, or another way to the same sum."""

    def apply(self, x: Tensor, y: Tensor) -> Tensor:
        """The layer's output with the side path added."""
        ...


def linear_shape(module: nn.Module) -> tuple[int, int]:
    """(in, out) of a linear layer, by its type: ``nn.Linear`` stores (out, in), GPT-2's ``Conv1D`` (in, out).

    Raises:
        TypeError: the module is neither.
    """
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if type(module).__name__ == "Conv1D":
        weight = module.weight
        assert isinstance(weight, Tensor)
        return weight.shape[0], weight.shape[1]
    raise TypeError(f"{type(module).__name__} is not a linear layer that can be edited")


@contextmanager
def edited(model: nn.Module, factors: Mapping[str, SidePath]) -> Iterator[None]:
    """Within this block the named layers carry the side path; the model is left as it was found.

    Raises:
        KeyError: the model has no module of a given name.
    """
    modules = dict(model.named_modules()) if factors else {}
    layers = [modules[name] for name in factors]  # all names are looked up before the first hook is set
    handles = [
        layer.register_forward_hook(_side_path(factors[name])) for name, layer in zip(factors, layers, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _side_path(rows: SidePath):  # type: ignore[no-untyped-def]
    def hook(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return rows.apply(args[0], output)

    return hook


def stack(rows: Sequence[Sequence[Deltas]], dtype: torch.dtype, device: torch.device | str = "cpu") -> Factors:
    """Factors for a batch from the edits of each row. A row's edits are concatenated in the order given.

    A batch without any edit gives no factors at all, so the unedited model takes exactly its own path.
    """
    names = dict.fromkeys(name for edits in rows for deltas in edits for name in deltas)
    return {
        name: _stack_layer([[e[name] for e in edits if name in e] for edits in rows], dtype, device) for name in names
    }


def _stack_layer(rows, dtype: torch.dtype, device: torch.device | str) -> RowFactors:  # type: ignore[no-untyped-def]
    some = next(delta for deltas in rows for delta in deltas)
    rank = max(sum(delta.rank for delta in deltas) for deltas in rows)
    A = torch.zeros(len(rows), rank, some.A.shape[1], dtype=dtype)
    B = torch.zeros(len(rows), some.B.shape[0], rank, dtype=dtype)
    for row, deltas in enumerate(rows):
        start = 0
        for delta in deltas:
            end = start + delta.rank
            A[row, start:end] = delta.A
            B[row, :, start:end] = delta.B
            start = end
    return RowFactors(A.to(device), B.to(device))


def select(factors: Factors, rows: Tensor) -> dict[str, RowFactors]:
    """The factors of edit ``rows[i]`` for row i."""
    return {name: RowFactors(f.A.index_select(0, rows), f.B.index_select(0, rows)) for name, f in factors.items()}


def together(factors: Factors, n: int) -> Factors:
    """Every n consecutive edits joined into one, side by side: (b, r, in) → (b / n, n · r, in), likewise B."""
    if n == 1:
        return factors
    return {
        name: RowFactors(
            f.A.reshape(-1, n * f.A.shape[1], f.A.shape[2]),
            f.B.unflatten(0, (-1, n)).transpose(1, 2).flatten(2),
        )
        for name, f in factors.items()
    }

"""What an edit is: a request, and low-rank changes of a few linear layers. All values, nothing that acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["matched", "global"]


@dataclass(frozen=True)
class EditRequest:
    """A correction: an input and the output that it should have had.

    Attributes:
        input: the question as a user types it (or, with ``raw``, the text to continue).
        output: the wanted answer.
        raw: continue the texts as they stand instead of putting them through the chat template.
        rephrases: other wordings of the input; the edit must hold for them too.
        locality: prompts whose answers must not change.
        scope: ``matched`` acts on prompts that ask the same thing, ``global`` on every prompt.
    """

    input: str
    output: str
    raw: bool = False
    rephrases: tuple[str, ...] = ()
    locality: tuple[str, ...] = ()
    scope: Scope = "matched"


@dataclass(frozen=True, eq=False)
class LowRankDelta:
    """ΔW = B A of one linear layer, never multiplied out.

    Attributes:
        A: (r, in), transformed keys.
        B: (out, r), transformed output gradients; sign and step size included.
    """

    A: Tensor
    B: Tensor

    def __post_init__(self) -> None:
        if self.A.ndim != 2 or self.B.ndim != 2 or self.A.shape[0] != self.B.shape[1]:
            raise ValueError(f"A (r, in) and B (out, r) expected, got {tuple(self.A.shape)} and {tuple(self.B.shape)}")

    @property
    def rank(self) -> int:
        return self.A.shape[0]

    def dense(self) -> Tensor:
        """ΔW (out, in). For tests and merging only; serving never builds it."""
        return self.B @ self.A

    def to(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> LowRankDelta:
        return LowRankDelta(self.A.to(device, dtype), self.B.to(device, dtype))


Deltas = Mapping[str, LowRankDelta]  # by module name, e.g. "model.layers.27.mlp.down_proj"


@dataclass(frozen=True, eq=False)
class Edit:
    """One edit as served. ``id`` is ``ed_`` and a random part; ``digest`` names the factor file by its content."""

    id: str
    request: EditRequest
    deltas: Deltas = field(repr=False)
    digest: str = ""

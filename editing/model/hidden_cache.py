"""Hidden states at the cut, computed once for each sequence and kept in the memory of the model's device."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from editing.model.prompts import TargetSequence
from editing.model.split import SplitModel

Ids = tuple[int, ...]


class HiddenCache:
    """Lower-half hidden states by token ids.

    Chat prompts begin alike (the template's system turn): that common prefix runs through the lower half once. Which
    sequences share a forward pass is decided when they are first met (``plan``), since the last bits of a result depend
    on its company: whoever plans the same sequences in the same order gets the same bits, whenever they are computed.

    Args:
        split: the cut model.
        prefix: token ids that many sequences begin with; may be empty.
        batch: sequences in one forward pass.
    """

    def __init__(self, split: SplitModel, prefix: Ids = (), batch: int = 64) -> None:
        self.split, self.prefix, self.batch = split, prefix, batch
        self._kept: dict[Ids, Tensor] = {}
        self._group: dict[Ids, tuple[Ids, ...]] = {}
        self._past: Any = None
        if prefix:
            from transformers import DynamicCache

            self._past = DynamicCache()
            self._prefix_hidden = split.lower(torch.tensor([prefix], device=split.device), past=self._past)[0]

    def plan(self, sequences: Iterable[TargetSequence]) -> None:
        """Put sequences not met before into batches of similar length; nothing is computed."""
        missing = sorted({s.ids for s in sequences} - self._group.keys(), key=lambda ids: (len(ids), ids))
        with_prefix = [ids for ids in missing if self._begins(ids)]
        without = [ids for ids in missing if not self._begins(ids)]
        for group in (with_prefix, without):
            for at in range(0, len(group), self.batch):
                together = tuple(group[at : at + self.batch])
                self._group.update(dict.fromkeys(together, together))

    def forget(self) -> None:
        """Let go of all sequences; the common prefix stays."""
        self._kept.clear()
        self._group.clear()

    def ensure(self, sequences: Sequence[TargetSequence]) -> None:
        """Compute what is not kept yet, each batch as it was planned."""
        self.plan(sequences)
        for sequence in sequences:
            if sequence.ids not in self._kept:
                self._compute(self._group[sequence.ids])

    def padded(self, sequences: Sequence[TargetSequence]) -> Tensor:
        """(b, longest, hidden), zeros at the right; ``ensure`` must have seen the sequences."""
        return torch.nn.utils.rnn.pad_sequence([self._kept[s.ids] for s in sequences], batch_first=True)

    def _begins(self, ids: Ids) -> bool:
        return bool(self.prefix) and len(ids) > len(self.prefix) and ids[: len(self.prefix)] == self.prefix

    def _compute(self, group: Sequence[Ids]) -> None:
        skip = len(self.prefix) if self._begins(group[0]) else 0
        past = None
        if skip:
            past = copy.deepcopy(self._past)
            past.batch_repeat_interleave(len(group))
        tails = [torch.tensor(ids[skip:], device=self.split.device) for ids in group]
        padded = torch.nn.utils.rnn.pad_sequence(tails, batch_first=True)
        hidden = self.split.lower(padded, past=past)
        for row, (ids, tail) in enumerate(zip(group, tails, strict=True)):
            own = hidden[row, : len(tail)]
            self._kept[ids] = torch.cat([self._prefix_hidden, own]) if skip else own.clone()

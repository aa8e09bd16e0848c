"""What a batch of edits makes of the model: the loss of each kind of row under its own edit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from editing.model.families import Positions
from editing.model.passes import Passes, by_length, positions, scatter
from editing.model.row import Row
from editing.model.side_path import Factors, edited, select
from editing.training.batch import TrainingBatch
from editing.training.losses import exact, kl, nll, top1_agreement


class BatchLoss:
    """Runs a batch's rows under their edits.

    Args:
        passes: the model's.
        together: how many edits of a batch share one set of factors (see ``editing.model.side_path.together``).
    """

    def __init__(self, passes: Passes, together: int = 1) -> None:
        self.passes, self.together = passes, together

    def losses(self, batch: TrainingBatch, factors: Factors) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Mean loss of each kind of row under the edits, and success by teacher forcing."""
        logits, where = self._logits(batch.judged, factors)
        n = len(batch.judged)
        targets, mask = (scatter(t, where.row, n) for t in (where.target, torch.ones_like(where.target)))
        logits = scatter(logits, where.row, n)
        per_row = nll(logits, targets, mask) / mask.sum(-1)
        kinds = [row.kind for row in (*batch.judged, *batch.kept)]
        with torch.no_grad():
            hits = exact(logits, targets, mask).float()
        shown = {
            f"{k}_exact": hits[[i for i in range(n) if kinds[i] == k]].mean().item() for k in dict.fromkeys(kinds[:n])
        }
        values = per_row
        if batch.kept:
            kept, shown["kept_top1"] = self._divergence(batch.kept, factors)
            values = torch.cat([per_row, kept])
        return {k: values[[i for i, kind in enumerate(kinds) if kind == k]].mean() for k in dict.fromkeys(kinds)}, shown

    def _divergence(self, kept: Sequence[Row], factors: Factors) -> tuple[Tensor, float]:
        """KL of each row that must stay as it was (n,), and the share of its likeliest tokens that did."""
        after, where = self._logits(kept, factors)
        with torch.no_grad():
            before, _ = self._logits(kept, {})
        mask = scatter(torch.ones_like(where.row), where.row, len(kept))
        before, after = (scatter(logits, where.row, len(kept)) for logits in (before, after))
        return kl(before, after, mask), top1_agreement(before, after.detach(), mask).item()

    def _logits(self, rows: Sequence[Row], factors: Factors) -> tuple[Tensor, Positions]:
        """Logits (n, vocab) at all positions of the rows, each row under its own edit."""
        model, device = self.passes.model, self.passes.model.device
        where = positions(rows, device)
        parts, places = [], []
        for group in by_length(rows):
            some = [rows[i] for i in group]
            edits = torch.tensor([row.edit for row in some], device=device) // self.together
            with edited(model, select(factors, edits)):
                parts.append(self.passes.logits([row.sequence for row in some], positions(some, device)))
            places.append(torch.isin(where.row, torch.tensor(group, device=device)).nonzero()[:, 0])
        return torch.cat(parts)[torch.cat(places).argsort()], where

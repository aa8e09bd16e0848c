"""Where one change for many edits begins: looking where the edits are and not elsewhere, and adding nothing yet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from editing.edit import LowRankDelta
from editing.model.families import Positions
from editing.model.passes import Passes, positions
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.side_path import linear_shape
from editing.model.trace import trace
from editing.training.sampler import ConsolidationExamples, parts

RIDGE = 0.03  # of the other keys' mean square


def covariance_factors(
    passes: Passes, names: Sequence[str], rank: int, examples: ConsolidationExamples
) -> dict[str, LowRankDelta]:
    """A change of nothing whose A sees the edits' keys and hardly any others.

    A's rows are the directions a in which the keys of ``said`` are largest beside those of ``kept``: the first
    generalised eigenvectors of E a = μ C a, where E (in, in) is the mean of k kᵀ over the positions that predict the
    targets, and C over all positions of the kept prompts, with a ridge. That is MEMIT's preconditioning by the
    covariance of other keys (Meng et al. 2023, equation 14) for a change of given rank, before any values are chosen.

    Returns:
        A (r, in), of the size of the keys on average over the kept ones, and B (out, r) zero; in float32.
    """
    wanted = _squares(passes, names, examples.said, answers=True)
    others = _squares(passes, names, examples.kept, answers=False)
    made = {}
    for name in names:
        n_in, n_out = linear_shape(passes.model.get_submodule(name))
        r = min(rank, n_in, n_out)
        made[name] = LowRankDelta(_directions(wanted[name], others[name], r), torch.zeros(n_out, r))
    return made


def _directions(wanted: Tensor, others: Tensor, rank: int) -> Tensor:
    """(in, in) twice → (rank, in); a C aᵀ is the mean square of an entry of the other keys."""
    size = float(others.diagonal().mean())
    inner = torch.linalg.inv(torch.linalg.cholesky(others + RIDGE * size * torch.eye(len(others), dtype=others.dtype)))
    _, vectors = torch.linalg.eigh(inner @ wanted @ inner.T)  # ascending
    rows: Tensor = size**0.5 * vectors[:, -rank:].flip(1).T @ inner
    return rows.float()


@torch.no_grad()
def _squares(
    passes: Passes, names: Sequence[str], sequences: Sequence[TargetSequence], answers: bool
) -> dict[str, Tensor]:
    """Mean of k kᵀ over the named layers' inputs, (in, in) in float64: where answers are predicted, or everywhere."""
    total: dict[str, Tensor] = {}
    count = 0
    for part in parts(sequences):
        rows = [Row(0, "view", s if answers else TargetSequence(s.ids, 1)) for s in part]
        where = positions(rows, passes.model.device)
        one = where.at.argmax()[None]  # prediction is enough for all layers to run over all tokens
        with trace(passes.model, names) as record:
            passes.logits([row.sequence for row in rows], Positions(where.row[one], where.at[one], where.target[one]))
        for name in names:
            keys = record.keys[name][where.row, where.at].float()
            total[name] = total.get(name, 0) + (keys.T @ keys).double().cpu()
        count += len(where.row)
    return {name: square / count for name, square in total.items()}

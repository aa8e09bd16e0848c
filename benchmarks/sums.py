"""One change of a model for many corrections, as editors that have no scope make it.

* ``mend``: the service's own editor; ΔW = Σ Bᵢ Aᵢ over edits that were each made on the unedited model (Mitchell et al.
  2022).
* ``malmen``: the least-squares solution for all corrections together (Tan et al. 2024), from the edits of the trained
  network.
* ``ultraedit``: in turns of a hundred corrections, each turn one step for all of them on the model that the turns
  before have left; ΔW is the sum of the turns' (Gu et al. 2025).
* ``fine-tuning``: one correction after the other, each on the model that those before have left; ΔW is the sum (Zhu et
  al. 2020, constrained: the bound is one for each correction, not for the sum).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from editing.data.datasets import FactDirectory
from editing.edit import Deltas
from editing.editors.mend import PolishedMend
from editing.editors.protocol import edit_one
from editing.errors import EditorMismatch
from editing.model.edit_batch import EditBatch, EditContext
from editing.model.prompts import TargetSequence
from editing.model.side_path import edited
from service.evaluation.editing.baselines import build_baseline, build_joint_baseline
from service.pipeline import Pipeline

TURN = 100  # corrections of UltraEdit made in one step
GROUP = 16  # corrections whose edits MEND makes at the same time
PRIMING = 60  # facts that UltraEdit's statistics begin with

Job = Sequence[TargetSequence]
Making = Callable[[Sequence[Job]], Iterator[Deltas]]  # the changes that are summed, made one after the other


@dataclass(frozen=True, eq=False)
class Sum:
    """Changes added up: ΔW (out, in) in float32 by layer, which act as a side path in the model's dtype."""

    weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, deltas: Deltas) -> None:
        for name, delta in deltas.items():
            dense = delta.B.float() @ delta.A.float()
            self.weights[name] = self.weights[name] + dense if name in self.weights else dense

    def paths(self, dtype: torch.dtype) -> dict[str, Dense]:
        return {name: Dense(weight.to(dtype)) for name, weight in self.weights.items()}


@dataclass(frozen=True, eq=False)
class Dense:
    """One ΔW (out, in) for every row of a batch."""

    weight: Tensor

    def apply(self, x: Tensor, y: Tensor) -> Tensor:
        return y + F.linear(x, self.weight)


@dataclass(frozen=True)
class Editor:
    """How an editor makes many corrections; ``sequential``: each change on top of those before."""

    making: Making
    sequential: bool = False

    def alone(self, job: Job) -> Deltas:
        """One correction."""
        return next(self.making([job]))

    def together(self, model: Any, jobs: Sequence[Job]) -> Sum:
        """All of them as one change."""
        total, changes = Sum(), self.making(jobs)
        while True:
            with edited(model, total.paths(model.dtype) if self.sequential else {}):
                change = next(changes, None)
            if change is None:
                return total
            total.add(change)


def mend(served: Pipeline, _data: Path) -> Editor:
    method = served.editor.method if served.editor else None
    if not isinstance(method, PolishedMend):
        raise EditorMismatch(f"there is no trained editor for {served.base.name}")
    context = EditContext(served.base.model, method.network.names, served.prompts.encoder.prefix())

    def making(jobs: Sequence[Job]) -> Iterator[Deltas]:
        for some in pieces(jobs, GROUP):
            batch = context.batch(some)
            batch.passes.ensure([row.sequence for row in batch.views])
            yield from method.edit_batch(batch)

    return Editor(making)


def malmen(served: Pipeline, _data: Path) -> Editor:
    method = build_joint_baseline("malmen", served, tuple)
    return Editor(lambda jobs: iter([method.edit_jointly(EditBatch.whole(served.base.model, jobs))]))


def ultraedit(served: Pipeline, data: Path) -> Editor:
    primed = build_joint_baseline("ultraedit", served, lambda: FactDirectory(data).training(PRIMING))

    def making(jobs: Sequence[Job]) -> Iterator[Deltas]:
        method = copy.deepcopy(primed)  # statistics of these corrections alone
        for some in pieces(jobs, TURN):
            yield method.edit_jointly(EditBatch.whole(served.base.model, some))

    return Editor(making, sequential=True)


def fine_tuning(served: Pipeline, _data: Path) -> Editor:
    method = build_baseline("fine-tuning", served, tuple)
    return Editor(lambda jobs: (edit_one(method, served.base.model, job) for job in jobs), sequential=True)


EDITORS: Mapping[str, Callable[[Pipeline, Path], Editor]] = {
    "mend": mend,
    "malmen": malmen,
    "ultraedit": ultraedit,
    "fine-tuning": fine_tuning,
}


def pieces(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[at : at + size] for at in range(0, len(items), size))

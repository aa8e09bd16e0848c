"""MEND as it is served: the network's proposal, lengthened, and a few gradient steps on its factors.

Training weighs neighbours as well, so its step is cautious; in service scope keeps neighbours apart, and an edit may
take a longer step. Whole sentences, whose tokens lean on one another, stay with the step that was learned. The steps
that follow move B only: where the edit acts was the network's choice, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from editing.edit import Deltas, LowRankDelta
from editing.editors.mend import MendEditor
from editing.editors.refine import refine_many
from editing.model.edit_batch import EditBatch
from editing.model.prompts import TargetSequence


@dataclass(frozen=True)
class Polish:
    """What is done to a proposal.

    Attributes:
        strength: factor on ΔW of answers of at most ``short`` tokens, the end of turn included.
        steps: gradient steps on B.
    """

    strength: float = 1.4
    short: int = 8
    steps: int = 2


class PolishedMend:
    """An ``editing.editors.protocol.Editor`` around a trained network."""

    name = "mend"

    def __init__(self, network: MendEditor, polish: Polish | None = None) -> None:
        self.network, self.polish = network, polish or Polish()

    def edit(
        self, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()
    ) -> dict[str, LowRankDelta]:
        """One correction; see ``editing.editors.protocol.Editor``."""
        return self.edit_many(EditBatch.whole(model, [sequences], under))[0]

    def edit_many(self, bench: EditBatch) -> list[dict[str, LowRankDelta]]:
        """The corrections on a bench, each as if it were alone."""
        proposals = [self._lengthened(*one) for one in zip(self.network.edit_many(bench), bench.jobs, strict=True)]
        return refine_many(bench, proposals, steps=self.polish.steps) if self.polish.steps else proposals

    def _lengthened(self, proposal: dict[str, LowRankDelta], job: Sequence[TargetSequence]) -> dict[str, LowRankDelta]:
        target = len(job[0].ids) - job[0].start
        if target > self.polish.short:
            return proposal
        return {name: LowRankDelta(d.A, d.B * self.polish.strength) for name, d in proposal.items()}

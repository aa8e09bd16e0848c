"""What one change for many edits learns from: answers that it shall give, and answers that it shall leave alone."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from editing.model.prompts import TargetSequence

TOGETHER = 32  # sequences in one pass where nothing is learned


@dataclass(frozen=True)
class ConsolidationExamples:
    """What the change is trained on, or checked with.

    Attributes:
        said: prompts with the answer that they shall get.
        kept: prompts with the answer that they get anyhow, along which predictions shall stay.
    """

    said: tuple[TargetSequence, ...]
    kept: tuple[TargetSequence, ...]


class Sampler:
    """Draws examples; what was hard when it was last seen comes more often, and what was easy now and then."""

    def __init__(self, every: Sequence[TargetSequence], rng: random.Random) -> None:
        self.every, self.random = every, rng
        self.weights = [1.0] * len(every)

    def draw(self, n: int) -> list[int]:
        return sorted({*self.random.choices(range(len(self.every)), self.weights, k=n)})

    def note(self, drawn: Sequence[int], losses: Sequence[float]) -> None:
        for i, loss in zip(drawn, losses, strict=True):
            self.weights[i] = min(max(loss, 0.05), 2.0) if math.isfinite(loss) else 1.0


def parts(sequences: Sequence[TargetSequence]) -> list[list[TargetSequence]]:
    """Sequences of like length together."""
    ordered = sorted(sequences, key=lambda sequence: len(sequence.ids))
    return [ordered[at : at + TOGETHER] for at in range(0, len(ordered), TOGETHER)]

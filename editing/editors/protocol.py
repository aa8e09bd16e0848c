"""What every editor is: something that turns one correction into low-rank factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from editing.edit import Deltas, LowRankDelta
from editing.model.prompts import TargetSequence


class Editor(Protocol):
    """One way of editing. Its ``name`` stands in reports and tables."""

    name: str

    def edit(
        self, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()
    ) -> dict[str, LowRankDelta]:
        """ΔW by module name for one correction; the model is left as it was found.

        Args:
            model: the base model, any family (``editing.model.families``).
            sequences: the correction's views with their target, its own wording first.
            under: edits in force for this prompt, on top of which the new one is made.
        """

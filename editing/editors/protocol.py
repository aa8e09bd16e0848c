"""What every editor is: something that turns corrections into low-rank changes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from editing.edit import Deltas
from editing.model.edit_batch import EditBatch
from editing.model.prompts import TargetSequence


class Editor(Protocol):
    """Makes one change for each correction.

    Attributes:
        name: as it stands in reports and tables.
        batch_size: how many corrections are worth computing in one call; a caller with more calls again.
    """

    name: str
    batch_size: int

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        """ΔW by module name for each correction of the batch, as if it were alone; the model is left as it was found.

        Each is made on top of ``batch.under``, the edits in force for its prompt.
        """
        ...


class JointEditor(Protocol):
    """Makes one change that holds all corrections together."""

    name: str

    def edit_jointly(self, batch: EditBatch) -> Deltas:
        """One ΔW by module name for all corrections of the batch, on top of ``batch.under``."""
        ...


def edit_one(editor: Editor, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()) -> Deltas:
    """The change for a single correction: a batch of one, on the whole model, whatever its family.

    Args:
        sequences: the correction's views with their target, its own wording first.
        under: edits in force for this prompt, on top of which the new one is made.
    """
    (deltas,) = editor.edit_batch(EditBatch.whole(model, [sequences], under))
    return deltas

"""The editor on the served model, in the compute thread: in pieces, so that answers get their turns in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from editing.edit import Deltas, EditRequest
from editing.editors.checkpoint import EditorCheckpoint
from editing.editors.refine import predicts_targets, refine
from editing.model.edit_batch import EditBatch, EditContext
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from service.engines.compute_thread import ComputeThread
from service.engines.model_loader import LoadedModel
from service.prompt import PromptBuilder

PIECE = 8  # sequences, or changes, that the compute thread works on before others get a turn
T = TypeVar("T")


class ModelEditor:
    """Computes low-rank changes, and moves them on by gradient steps.

    Args:
        base: the served model.
        checkpoint: its editor.
    """

    def __init__(
        self, base: LoadedModel, checkpoint: EditorCheckpoint, prompts: PromptBuilder, compute: ComputeThread
    ) -> None:
        self.base, self.checkpoint, self.prompts, self.compute = base, checkpoint, prompts, compute

    def sequences(self, request: EditRequest) -> list[TargetSequence]:
        """The views of a request with their target, as token ids; raises InvalidEdit where it cannot become an edit."""
        return edit_sequences(self.prompts.encoder, request, self.prompts.context)

    def batch(self, edits: Sequence[Sequence[TargetSequence]], under: Sequence[Deltas]) -> EditBatch:
        """Edits that are made together, on top of ``under``. Only the newest batch can be worked on."""
        batch = self.compute.run(self._context.batch, edits, under)
        for some in _pieces([row.sequence for row in batch.views]):
            self.compute.run(batch.passes.ensure, some)
        return batch

    def edit(self, batch: EditBatch) -> list[Deltas]:
        """One change for each edit of the batch."""
        editor = self.checkpoint.method
        pieces = _pieces(range(len(batch.corrections)), editor.batch_size)
        return [deltas for some in pieces for deltas in self.compute.run(editor.edit_batch, batch.only(some))]

    def predicts_targets(self, batch: EditBatch, deltas: Mapping[int, Deltas]) -> dict[int, bool]:
        """Whether each change, by its edit's place in the batch, leaves its targets likely enough."""
        return self._by_piece(predicts_targets, batch, deltas)

    def refine(self, batch: EditBatch, deltas: Mapping[int, Deltas]) -> dict[int, Deltas]:
        """Each change a few gradient steps further, by its edit's place in the batch."""
        return self._by_piece(refine, batch, deltas)

    def _by_piece(
        self, work: Callable[[EditBatch, Sequence[Deltas]], list[T]], batch: EditBatch, deltas: Mapping[int, Deltas]
    ) -> dict[int, T]:
        found: dict[int, T] = {}
        for some in _pieces(list(deltas)):
            own = [deltas[n] for n in some]
            found |= zip(some, self.compute.run(work, batch.only(some), own), strict=True)
        return found

    @cached_property
    def _context(self) -> EditContext:
        """Set up with the first edit."""
        prefix = self.prompts.encoder.prefix()
        return self.compute.run(EditContext, self.base.model, self.checkpoint.layers, prefix)


def _pieces(items: Sequence[T], size: int = PIECE) -> Iterator[list[T]]:
    return (list(items[at : at + size]) for at in range(0, len(items), size))

"""Corrections that are computed together, and the model prepared for them once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from editing.edit import Deltas
from editing.model.gradients import Gradients, gradients
from editing.model.passes import CachedPasses, FullPasses, Passes, by_length, lowest_layer, passes_for
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.side_path import Factors, edited, stack


@dataclass(frozen=True, eq=False)
class EditBatch:
    """Corrections worked on at the same time; none of them sees another.

    Attributes:
        passes: the model's forward pass; cached ones have seen all sequences (``EditContext.batch``).
        corrections: of each its views with their target, its own wording first.
        under: edits in force beneath each of them.
    """

    passes: Passes
    corrections: tuple[tuple[TargetSequence, ...], ...]
    under: tuple[Deltas, ...] = ()

    @classmethod
    def whole(
        cls, model: Any, corrections: Sequence[Sequence[TargetSequence]], under: Sequence[Deltas] = ()
    ) -> EditBatch:
        """On the whole model, whatever its family."""
        return cls(FullPasses(model), tuple(map(tuple, corrections)), tuple(under))

    @property
    def model(self) -> Any:
        return self.passes.model

    @cached_property
    def views(self) -> tuple[Row, ...]:
        """All views; a row's ``edit`` is the number of its correction."""
        return tuple(Row(n, "view", sequence) for n, views in enumerate(self.corrections) for sequence in views)

    @cached_property
    def groups(self) -> list[list[Row]]:
        """The views in one or two groups of like length."""
        return [[self.views[i] for i in group] for group in by_length(self.views)]

    @cached_property
    def base(self) -> Factors:
        """What is in force beneath, shared by all rows."""
        return stack([list(self.under)], self.model.dtype, self.model.device)

    def gradients(self, names: Sequence[str]) -> dict[str, Gradients]:
        """Keys and output gradients of the named layers, b = number of corrections."""
        with edited(self.model, self.base):
            return gradients(self.passes, names, self.views, len(self.corrections))

    def only(self, which: Sequence[int]) -> EditBatch:
        """Some of the corrections."""
        return EditBatch(self.passes, tuple(self.corrections[n] for n in which), self.under)


class EditContext:
    """A model prepared for corrections: what lies below the edited layers is run once for each view.

    Not thread-safe; one batch at a time, since a new one forgets the states of the one before.

    Args:
        names: the edited layers.
        prefix: token ids that chat prompts begin with.
    """

    def __init__(self, model: Any, names: Sequence[str], prefix: tuple[int, ...] = ()) -> None:
        self.model, self._lowest = model, lowest_layer(names)
        self._passes = FullPasses(model) if self._lowest is None else passes_for(model, self._lowest, prefix)

    def batch(self, corrections: Sequence[Sequence[TargetSequence]], under: Sequence[Deltas] = ()) -> EditBatch:
        """A batch whose ``passes.ensure`` must still see all sequences, in pieces as the caller likes."""
        passes = self._passes
        if isinstance(passes, CachedPasses):
            passes.hidden.forget()
            below = lowest_layer([name for deltas in under for name in deltas])
            if under and (below is None or self._lowest is None or below < self._lowest):
                passes = FullPasses(self.model)  # an edit in force changes what lies below the cut
        return EditBatch(passes, tuple(map(tuple, corrections)), tuple(under))

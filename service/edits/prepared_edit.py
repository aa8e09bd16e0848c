"""A request that can become an edit, with everything that is known of it before the model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editing.edit import EditRequest
from editing.model.prompts import TargetSequence
from editing.scope.index import ScopeIndex
from editing.scope.wordings import Wordings


@dataclass(frozen=True, eq=False)
class PreparedEdit:
    """A request that can become an edit.

    Attributes:
        sequences: its views with their target, as token ids.
        wordings: what it will answer to.
    """

    request: EditRequest
    sequences: Sequence[TargetSequence]
    wordings: Wordings

    @property
    def prompts(self) -> tuple[str, ...]:
        """Everything that its author named: verification asks it."""
        return (self.request.input, *self.request.rephrases, *self.request.locality)


def concerned(scope: ScopeIndex, later: PreparedEdit, earlier: Sequence[PreparedEdit]) -> bool:
    """Whether one of the earlier edits, once recorded, would act on what the later one's verification asks."""
    if any(edit.request.scope == "global" for edit in (later, *earlier)):
        return True
    return scope.any_concerned(later.wordings, [edit.wordings for edit in earlier])

"""A request that can become an edit, with everything that is known of it before the model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editing.edit import EditRequest
from editing.model.prompts import TargetSequence
from editing.scope.head import TextVectors
from editing.scope.index import ScopeIndex
from editing.scope.wordings import Wordings

NEAR = 0.3  # cosine of sentence vectors; rephrasings of one question lie far above


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
        """Everything that verification asks."""
        return (self.request.input, *self.request.rephrases, *self.request.locality)

    @property
    def vectors(self) -> tuple[TextVectors, ...]:
        """Of the same prompts."""
        own, rephrases = self.wordings.texts, len(self.request.rephrases)
        return (own[0], *own[len(own) - rephrases :], *self.wordings.apart)


def concerned(scope: ScopeIndex, later: PreparedEdit, earlier: Sequence[PreparedEdit]) -> bool:
    """Whether one of the earlier edits, once recorded, would act on what the later one's verification asks."""
    if any(edit.request.scope == "global" for edit in (later, *earlier)):
        return True
    return any(
        _near(vectors, edit.wordings) and scope.score(text, vectors, edit.wordings) > 0
        for text, vectors in zip(later.prompts, later.vectors, strict=True)
        for edit in earlier
    )


def _near(text: TextVectors, wordings: Wordings) -> bool:
    """Whether the scope head may be asked at all if they are the same: it never says so of texts that lie far apart."""
    return any(float(text.sentence @ own.sentence) > NEAR for own in wordings.texts)

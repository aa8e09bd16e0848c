"""Corrections of one batch that cannot both stand: the same question, with different answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from editing.scope.index import ScopeIndex
from editing.scope.wordings import Wordings
from editing.verify import normalise

NEAREST = 8  # of the others, that each correction is compared with
Pair = tuple[int, int]  # places in the batch, the earlier one first


def contradictions(scope: ScopeIndex, wordings: Sequence[Wordings], margin: float) -> list[Pair]:
    """Each correction that contradicts an earlier one, with the first that it contradicts.

    Two ask the same where they share a wording, or where the scope model is certain of it (``margin`` log-odds above
    its threshold, read either way round): the rule by which an edit takes an older one's place.
    """
    pairs: dict[int, int] = {}
    first = {(own.keys, normalise(own.output)): place for place, own in reversed(list(enumerate(wordings)))}
    again = {place for place, own in enumerate(wordings) if first[own.keys, normalise(own.output)] != place}
    for earlier, later in sorted({*_sharing(wordings), *_near(wordings)}):
        one, other = wordings[earlier], wordings[later]
        if later in pairs or again & {earlier, later} or normalise(one.output) == normalise(other.output):
            continue
        if one.keys & other.keys or scope.same_question(one, other) >= margin:
            pairs[later] = earlier
    return sorted((earlier, later) for later, earlier in pairs.items())


def _sharing(wordings: Sequence[Wordings]) -> Iterator[Pair]:
    """Corrections with a wording in common, each with the first that has another answer."""
    first: dict[str, dict[str, int]] = defaultdict(dict)
    for place, own in enumerate(wordings):
        for key in own.keys:
            answers = first[key]
            yield from ((other, place) for answer, other in answers.items() if answer != normalise(own.output))
            answers.setdefault(normalise(own.output), place)


def _near(wordings: Sequence[Wordings]) -> Iterator[Pair]:
    """Each correction with those that its input is nearest to."""
    if len(wordings) < 2:
        return
    inputs = np.stack([own.vectors[0] for own in wordings])
    similar = inputs @ inputs.T
    np.fill_diagonal(similar, -1)
    for place, row in enumerate(similar):
        for other in np.argsort(-row, kind="stable")[: min(NEAREST, len(wordings) - 1)]:
            yield (min(place, int(other)), max(place, int(other)))

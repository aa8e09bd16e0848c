"""Corrections of one batch that cannot both stand: the same question, with different answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from editing.edit import EditRequest
from editing.language.names import names_in
from editing.scope.decision import SAME
from editing.scope.index import ScopeIndex
from editing.scope.wordings import Wordings
from editing.verify import normalise

Pair = tuple[int, int]  # places in the batch, the earlier one first


def contradictions(
    scope: ScopeIndex, requests: Sequence[EditRequest], wordings: Sequence[Wordings], margin: float
) -> list[Pair]:
    """Each correction that contradicts an earlier one, with the first that it contradicts.

    Two ask the same where they share a wording, or where the scope head is certain of it (``margin`` log-odds above its
    threshold) and both name the same: the rule by which an edit takes an older one's place.
    """
    pairs: dict[int, int] = {}
    for places in _alike(requests, wordings):
        for n, place in enumerate(places):
            for other in places[:n]:
                if place in pairs and pairs[place] <= other:
                    break
                if _differ(requests[place], requests[other]) and _same(
                    scope, requests, wordings, (place, other), margin
                ):
                    pairs[place] = other
                    break
    return sorted((earlier, later) for later, earlier in pairs.items())


def _alike(requests: Sequence[EditRequest], wordings: Sequence[Wordings]) -> list[list[int]]:
    """Groups in which a contradiction may be. Of corrections equal in wordings and answer one stands for all."""
    groups: dict[object, list[int]] = defaultdict(list)
    seen: set[tuple[object, str]] = set()
    for place, (request, own) in enumerate(zip(requests, wordings, strict=True)):
        equal = (own.keys, normalise(request.output))
        if equal in seen:
            continue
        seen.add(equal)
        for key in own.keys:
            groups[key].append(place)
        if named := names_in(request.input):
            groups[named].append(place)
    return [places for places in groups.values() if len(places) > 1]


def _differ(one: EditRequest, other: EditRequest) -> bool:
    return normalise(one.output) != normalise(other.output)


def _same(
    scope: ScopeIndex, requests: Sequence[EditRequest], wordings: Sequence[Wordings], pair: Pair, margin: float
) -> bool:
    one, other = pair
    if wordings[one].keys & wordings[other].keys:
        return True
    if names_in(requests[one].input) != names_in(requests[other].input):
        return False
    score = scope.score(requests[one].input, wordings[one].texts[0], wordings[other])
    return score == SAME or score >= margin

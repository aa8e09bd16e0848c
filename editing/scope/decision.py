"""Whether a prompt asks what an edit answers: what is certain without the head, and what the head says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from editing.language.names import WEIGHT, names_apart
from editing.language.question_forms import contradicts
from editing.scope.head import ScopeHead, TextVectors
from editing.scope.wordings import Wordings, says_something, wording_key

SAME = float("inf")  # score of a prompt that is one of the edit's own wordings
NEAREST = 8  # wordings of one edit that the head compares a prompt with, and as many of those set apart
Texts = Mapping[str, TextVectors]


def scores(
    head: ScopeHead,
    prompt: str,
    vectors: TextVectors,
    several: Sequence[Wordings],
    filled: Callable[[Wordings], Wordings] = lambda wordings: wordings,
) -> list[float]:
    """For each edit the log-odds above the threshold that the prompt asks what it answers; above 0 it is in scope.

    The head judges all texts at once, and a text that edits share once, so equal wordings have equal scores.

    Args:
        filled: gives wordings their vectors; called for those that the head is asked about.
    """
    certain = [_certain(prompt, wordings) for wordings in several]
    sides = {
        n: (_nearest(vectors, w.own, w.texts), _nearest(vectors, w.set_apart, w.apart))
        for n, w in ((n, filled(several[n])) for n, sure in enumerate(certain) if sure is None)
    }
    asked = {text: of for pair in sides.values() for side in pair for text, of in side.items()}
    logits = dict(zip(asked, map(float, head.score(vectors, list(asked.values()))), strict=True))
    found = [_decided(*sides[n], logits) - head.threshold if sure is None else sure for n, sure in enumerate(certain)]
    return [  # names only ever speak against an edit, so they are asked for where the head speaks for it
        score - WEIGHT * names_apart(prompt, w.input, w.own) if sure is None and score > 0 else score
        for score, sure, w in zip(found, certain, several, strict=True)
    ]


def _certain(prompt: str, wordings: Wordings) -> float | None:
    """What needs no head."""
    key = wording_key(prompt)
    if key in wordings.keys:
        return SAME
    if key in wordings.apart_keys or not says_something(prompt) or contradicts(prompt, wordings.input):
        return -SAME
    return None


def _nearest(vectors: TextVectors, texts: Sequence[str], of: Sequence[TextVectors]) -> Texts:
    """The texts that say something; of many those nearest to the prompt."""
    saying = {text: one for text, one in zip(texts, of, strict=True) if says_something(text)}
    if len(saying) <= NEAREST:
        return saying
    similar = np.stack([one.sentence for one in saying.values()]) @ vectors.sentence
    names = list(saying)
    return {names[n]: saying[names[n]] for n in np.argsort(-similar, kind="stable")[:NEAREST]}


def _decided(own: Texts, apart: Texts, logits: Mapping[str, float]) -> float:
    best = max((logits[text] for text in own), default=-SAME)
    if apart and max(logits[text] for text in apart) >= best:
        return -SAME
    return best

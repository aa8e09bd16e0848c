"""Does a prompt concern an edit, how, and what says so?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from editing.scope.cross_encoder import Kind, ScopePair
from editing.scope.model import ScopeModel, scored
from editing.scope.prompt import ScopePrompt
from editing.scope.wording_index import Floats
from editing.scope.wordings import Wordings, says_something, wording_key

SAME = float("inf")  # score of a prompt that is one of the edit's own wordings
READ = 3  # wordings of one edit that are read with a prompt, and as many of those set apart


@dataclass(frozen=True)
class Judgement:
    """What a prompt is to an edit.

    Attributes:
        score: log-odds above the threshold; above 0 the edit is in scope.
        kind: the likeliest kind of request, were it in scope.
        wording: of the edit, the nearest to the prompt.
        why: what spoke for it or against it, in words.
    """

    score: float
    kind: Kind
    wording: str
    why: str


@dataclass(frozen=True)
class Candidate:
    """An edit that a prompt may concern: its wordings with their vectors, and the part of the prompt that is near."""

    wordings: Wordings
    prompt: ScopePrompt
    vector: Floats


def judge(model: ScopeModel, whole: ScopePrompt, candidates: Sequence[Candidate]) -> list[Judgement]:
    """One prompt beside each edit in turn."""
    return judge_all(model, [(whole.text, candidate) for candidate in candidates])


def judge_all(model: ScopeModel, candidates: Sequence[tuple[str, Candidate]]) -> list[Judgement]:
    """Each prompt beside its edit; all that need reading are read in one pass, and equal pairs have equal scores."""
    certain = [_certain(text, candidate.wordings) for text, candidate in candidates]
    asked = {n: _own_pair(candidates[n][1]) for n, sure in enumerate(certain) if sure is None}
    apart = {n: _apart_pairs(candidates[n][1]) for n in asked}
    pairs = list(dict.fromkeys([*asked.values(), *(pair for several in apart.values() for pair in several)]))
    logits = dict(zip(pairs, model.logits(pairs), strict=True)) if pairs else {}
    return [sure or _read(model.thresholds, logits, asked[n], apart[n]) for n, sure in enumerate(certain)]


def _certain(prompt: str, wordings: Wordings) -> Judgement | None:
    """What needs no reading."""
    key = wording_key(prompt)
    if key in wordings.keys:
        return Judgement(SAME, Kind.ASKS, wordings.input, "it is one of the edit's wordings")
    if key in wordings.apart_keys:
        return Judgement(-SAME, Kind.NOTHING, wordings.input, "it is one of the prompts set apart from the edit")
    if not says_something(prompt):
        return Judgement(-SAME, Kind.NOTHING, wordings.input, "it holds nothing but signs")
    return None


def _own_pair(candidate: Candidate) -> ScopePair:
    wordings, prompt = candidate.wordings, candidate.prompt
    nearest = _nearest(candidate.vector, wordings.own, wordings.vectors[: len(wordings.own)])
    return ScopePair(prompt.text, nearest, wordings.output, prompt.context)


def _apart_pairs(candidate: Candidate) -> list[ScopePair]:
    wordings, prompt = candidate.wordings, candidate.prompt
    nearest = _nearest(candidate.vector, wordings.apart, wordings.vectors[len(wordings.own) :])
    return [ScopePair(prompt.text, (text,), "", prompt.context) for text in nearest]


def _nearest(vector: Floats, texts: Sequence[str], vectors: Sequence[Floats]) -> tuple[str, ...]:
    """The texts nearest to a vector, of those that say something."""
    saying = [(text, own) for text, own in zip(texts, vectors, strict=True) if says_something(text)]
    order = np.argsort([-float(own @ vector) for _, own in saying], kind="stable")[:READ]
    return tuple(saying[n][0] for n in order)


def _read(
    thresholds: Sequence[float], logits: dict[ScopePair, Floats], own: ScopePair, apart: Sequence[ScopePair]
) -> Judgement:
    score, kind = _scored(logits[own], thresholds)
    wording = own.wordings[0] if own.wordings else ""
    against = {pair.wordings[0]: _scored(logits[pair], thresholds)[0] for pair in apart}
    nearest = max(against, key=against.__getitem__, default="")
    if score > 0 and against and against[nearest] >= score:
        return Judgement(-SAME, kind, wording, f"it is nearer to the prompt set apart: {nearest}")
    return Judgement(score, kind, wording, _WORDS[kind] if score > 0 else "it asks something else")


def _scored(logits: Floats, thresholds: Sequence[float]) -> tuple[float, Kind]:
    scores, kinds = scored(logits[None], thresholds)
    return float(scores[0]), Kind(int(kinds[0]))


_WORDS = {
    Kind.ASKS: "it asks the same",
    Kind.CONFIRMS: "it asks whether the output is right",
    Kind.DENIES: "it asks whether something else than the output is right",
    Kind.WITHIN: "it wants a text that needs the output",
    Kind.REVERSE: "it gives the output and asks for the subject",
}

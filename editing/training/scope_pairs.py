"""Pairs that the scope model learns from: a prompt, an edit, and what the prompt is to it.

Nothing may be told by style: positive and negative prompts go through the same changes (case, signs, a word misspelt,
something said before). The hard negatives are near prompts, other corrections' prompts that the sentence encoder finds
near, and prompts in which one name or number is another.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from editing.data.corrections import Correction
from editing.scope.cross_encoder import Kind, ScopePair
from editing.scope.wording_index import Floats

Embed = Callable[[Sequence[str]], Floats]  # texts (n) → normalised vectors (n, d)
Labelled = tuple[ScopePair, Kind]
_NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z][\w-]{2,}\b|\b\d+(?:[.:,]\d+)*\b")
_NEIGHBOURS = 24  # prompts of other corrections, of each wording
_CONTEXT_SHARE = 0.12


@dataclass(frozen=True)
class Prompt:
    """A prompt of a correction, and what it is to it."""

    text: str
    kind: Kind
    context: str = ""


def context_of(turns: Sequence[str]) -> str:
    """What was said before the last turn, as the scope model reads it."""
    return " / ".join(turns[:-1])


def prompts_of(correction: Correction) -> list[Prompt]:
    """Every prompt that was written for a correction."""
    found = [Prompt(text, Kind.ASKS) for text in (correction.input, *correction.rephrases, *correction.statements)]
    found += [Prompt(text, Kind.NOTHING) for text in correction.near]
    for pair, kind in (
        (correction.denied, Kind.DENIES),
        (correction.confirmed, Kind.CONFIRMS),
        (correction.within, Kind.WITHIN),
        (correction.reverse, Kind.REVERSE),
    ):
        if pair:
            found.append(Prompt(pair[0], kind))
    for dialog, kind in ((correction.dialog_in, Kind.ASKS), (correction.dialog_out, Kind.NOTHING)):
        if dialog:
            found.append(Prompt(dialog[-1], kind, context_of(dialog)))
    return found


class CorrectionPairs:
    """Draws pairs from corrections.

    Args:
        embed: the sentence encoder, which finds the hard negatives.
    """

    SHARES: Mapping[Kind, float] = {
        Kind.ASKS: 0.7,
        Kind.CONFIRMS: 0.09,
        Kind.DENIES: 0.1,
        Kind.WITHIN: 0.06,
        Kind.REVERSE: 0.05,
    }

    def __init__(self, corrections: Sequence[Correction], embed: Embed) -> None:
        self.corrections = list(corrections)
        self.prompts = [prompts_of(correction) for correction in self.corrections]
        self.openings = _openings(self.corrections)
        self.names = sorted(
            {m[0] for c in self.corrections for t in (c.input, *c.rephrases) for m in _NAME.finditer(t)}
        )
        self.dialogs = [c.dialog_in for c in self.corrections if c.dialog_in and c.language == "en"]
        self.neighbours = self._neighbours(embed)
        self.hard: dict[int, list[Prompt]] = {}  # negatives that the model itself took for positive, by correction

    def draw(self, count: int, rng: random.Random) -> list[Labelled]:
        """Pairs of as many different corrections as there are, a little more of them negative."""
        places = rng.choices(range(len(self.corrections)), k=count)
        return [self._pair(n, rng) for n in places]

    def _pair(self, n: int, rng: random.Random) -> Labelled:
        correction, draw = self.corrections[n], rng.random()
        wordings = self._wordings(correction, rng)
        if draw < 0.46:
            prompt = self._positive(n, wordings, rng)
        elif draw < 0.76:
            prompt = self._own_negative(n, rng)
        elif draw < 0.9 and self.neighbours[n]:
            pool = self.hard[n] if self.hard.get(n) and rng.random() < 0.5 else self.neighbours[n]
            prompt = rng.choice(pool)
        elif draw < 0.94:
            return self._near_edit(n, rng)
        else:
            other = rng.choice(self.prompts)
            prompt = rng.choice(other)
            prompt = Prompt(prompt.text, Kind.NOTHING if other is not self.prompts[n] else prompt.kind, prompt.context)
        if prompt.kind is Kind.ASKS and rng.random() < 0.08 and (changed := self._renamed(prompt, wordings, rng)):
            prompt = changed
        output = "" if rng.random() < 0.08 and prompt.kind in (Kind.ASKS, Kind.NOTHING) else correction.output
        return self._finished(prompt, wordings, output, rng)

    def _wordings(self, correction: Correction, rng: random.Random) -> tuple[str, ...]:
        """As people give an edit: the input alone mostly; sometimes another wording, or several."""
        draw = rng.random()
        if draw < 0.7:
            return (correction.input,)
        if draw < 0.8:
            return (rng.choice(correction.rephrases),)
        others = rng.sample(correction.rephrases, min(len(correction.rephrases), rng.choice((1, 2, 2))))
        texts = [correction.input, *others]
        rng.shuffle(texts)
        return tuple(texts)

    def _positive(self, n: int, wordings: Sequence[str], rng: random.Random) -> Prompt:
        found = [p for p in self.prompts[n] if p.kind is not Kind.NOTHING and p.text not in wordings]
        kinds = sorted({p.kind for p in found})
        kind = rng.choices(kinds, [self.SHARES[k] for k in kinds])[0]
        fitting = [p for p in found if p.kind is kind]
        dialogs = [p for p in fitting if p.context]
        return rng.choice(dialogs if dialogs and rng.random() < 0.15 else fitting)

    def _own_negative(self, n: int, rng: random.Random) -> Prompt:
        found = [p for p in self.prompts[n] if p.kind is Kind.NOTHING]
        out = [p for p in found if p.context]
        return rng.choice(out) if out and rng.random() < 0.16 else rng.choice(found)

    def _near_edit(self, n: int, rng: random.Random) -> Labelled:
        """A near prompt as the edit's wording: what asked the same before does not now."""
        correction = self.corrections[n]
        wording = rng.choice(correction.near)
        output = rng.choice(("", rng.choice(self.corrections).output))
        others = [t for t in (correction.input, *correction.rephrases, *correction.near) if t != wording]
        if rng.random() < 0.2:
            return self._finished(Prompt(wording, Kind.ASKS), (wording,), output, rng, changed=True)
        return self._finished(Prompt(rng.choice(others), Kind.NOTHING), (wording,), output, rng)

    def _renamed(self, prompt: Prompt, wordings: Sequence[str], rng: random.Random) -> Prompt | None:
        """The prompt with one name or number that it shares with the wordings changed: it asks something else."""
        shared = [m[0] for m in _NAME.finditer(prompt.text) if all(m[0] in wording for wording in wordings)]
        if not shared:
            return None
        name = rng.choice(shared)
        other = self._other_number(name, rng) if name[0].isdigit() else self._other_name(name, rng)
        return Prompt(re.sub(rf"\b{re.escape(name)}\b", other, prompt.text), Kind.NOTHING, prompt.context)

    def _other_number(self, number: str, rng: random.Random) -> str:
        digits = [at for at, sign in enumerate(number) if sign.isdigit()]
        at = rng.choice(digits)
        other = rng.choice([d for d in string.digits if d != number[at]])
        return number[:at] + other + number[at + 1 :]

    def _other_name(self, name: str, rng: random.Random) -> str:
        draw, other = rng.random(), rng.choice([n for n in self.names if n[0].isupper()])
        if draw < 0.25 and other != name:
            return f"{name}-{other}"
        if draw < 0.4 and other != name:
            return f"{name} {other}"
        return other if other != name else f"{name}son"

    def _finished(
        self, prompt: Prompt, wordings: tuple[str, ...], output: str, rng: random.Random, changed: bool = False
    ) -> Labelled:
        text, context = self._typed(prompt.text, rng, changed), prompt.context
        if not context and rng.random() < _CONTEXT_SHARE and self.dialogs:
            context = context_of(rng.choice(self.dialogs))
        if rng.random() < 0.1:
            text = self._among_others(text, rng)
        if rng.random() < 0.15:
            wordings = tuple(self._typed(wording, rng) for wording in wordings)
        return ScopePair(text, wordings, output, context), prompt.kind

    def _typed(self, text: str, rng: random.Random, always: bool = False) -> str:
        draw = rng.random() * (0.3 if always else 1.0)
        if draw < 0.12:
            return text.lower()
        if draw < 0.22:
            return text.rstrip("?.!")
        if draw < 0.3 and len(text) > 12:
            at = rng.randrange(1, len(text) - 2)
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        return text

    def _among_others(self, text: str, rng: random.Random) -> str:
        before, after = rng.choice(self.openings), rng.choice(self.openings)
        return rng.choice((f"{before} {text}", f"{text} {after}", f"{before} {text} {after}"))

    def _neighbours(self, embed: Embed) -> list[list[Prompt]]:
        """Of each correction the prompts of others that are nearest to its wordings."""
        flat = [(n, p) for n, some in enumerate(self.prompts) for p in some if not p.context]
        vectors = embed([p.text for _, p in flat])
        owner = np.array([n for n, _ in flat])
        asking = np.array([p.kind is Kind.ASKS for _, p in flat])
        inputs = vectors[[int(np.flatnonzero(owner == n)[0]) for n in range(len(self.prompts))]]
        same = inputs @ inputs.T > 0.92  # two that ask the same are no negatives of each other
        found: list[list[Prompt]] = []
        for n in range(len(self.prompts)):
            own = vectors[(owner == n) & asking]
            similar = np.where(same[n][owner], -1.0, (own @ vectors.T).max(0))
            nearest = np.argpartition(-similar, _NEIGHBOURS)[:_NEIGHBOURS]
            found.append([Prompt(flat[at][1].text, Kind.NOTHING) for at in nearest])
        return found


def _openings(corrections: Sequence[Correction]) -> list[str]:
    """What people say around a question: the sentences of long rephrases that ask nothing."""
    said: dict[str, None] = {}
    for text in chain.from_iterable(c.rephrases for c in corrections if c.language == "en"):
        parts = re.split(r"(?<=[.!?]) ", text)
        if len(parts) > 1 and not parts[0].endswith("?"):
            said[parts[0]] = None
    return list(said) or ["Hello."]


class IntentPairs:
    """Draws pairs from messages by intent: an edit is an intent with up to five messages as its wordings.

    Args:
        messages: by intent; under None those that belong to none.
    """

    def __init__(self, messages: Mapping[str | None, Sequence[str]], embed: Embed) -> None:
        self.intents = [intent for intent in messages if intent is not None]
        self.texts = [list(messages[intent]) for intent in self.intents]
        self.vectors = [embed(texts) for texts in self.texts]
        self.none = list(messages.get(None, ()))
        centres = np.stack([v.mean(0) for v in self.vectors])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        self.alike = [np.argsort(-row)[1:7] for row in centres @ centres.T]

    def draw(self, count: int, rng: random.Random) -> list[Labelled]:
        return [self._pair(rng) for _ in range(count)]

    def _pair(self, rng: random.Random) -> Labelled:
        intent = rng.randrange(len(self.intents))
        rows = rng.sample(range(len(self.texts[intent])), rng.choice((2, 3, 4, 5, 5, 5)))
        draw = rng.random()
        kind, source = Kind.NOTHING, intent
        if draw < 0.45:
            kind = Kind.ASKS
            row = rng.choice([n for n in range(len(self.texts[intent])) if n not in rows])
        else:
            others = [n for n in range(len(self.intents)) if n != intent]
            source = int(rng.choice(self.alike[intent])) if draw < 0.85 else rng.choice(others)
            row = rng.randrange(len(self.texts[source]))
        prompt, vector = self.texts[source][row], self.vectors[source][row]
        if kind is Kind.NOTHING and self.none and rng.random() < 0.1:
            prompt = rng.choice(self.none)
        ordered = sorted(rows, key=lambda at: -float(self.vectors[intent][at] @ vector))[:3]
        name = self.intents[intent].replace("_", " ")
        output = rng.choice(("", name, f"Please see our page on {name}."))
        return ScopePair(prompt, tuple(self.texts[intent][at] for at in ordered), output), kind


class FactPairs:
    """Draws pairs from facts in many wordings: the same question of another subject, and others of the same.

    Args:
        own: an edit's wordings, what asks the same, and what does not.
        outputs: of the edits.
    """

    def __init__(self, examples: Sequence[tuple[str, str, Sequence[str], Sequence[str]]]) -> None:
        self.examples = list(examples)

    def draw(self, count: int, rng: random.Random) -> list[Labelled]:
        pairs: list[Labelled] = []
        for _ in range(count):
            wording, output, same, others = rng.choice(self.examples)
            kind = Kind.ASKS if rng.random() < 0.45 and same else Kind.NOTHING
            prompt = rng.choice(same if kind is Kind.ASKS else others)
            pairs.append((ScopePair(prompt, (wording,), output), kind))
        return pairs

"""Customers' messages: does a message find the edit of its own intent? BANKING77 and CLINC150, beside raw cosine.

``python -m benchmarks.intents FILE [--wordings 1 5] [--messages 10]`` makes an edit of every intent in the file (a CSV
of text and category, or JSON lines of text and intent) with so many of its messages as input and rephrases, and asks
further messages of each intent, and those that belong to none. No language model is loaded. *Own*: the edit of its
intent is in force; *another's*: some other edit is; *none's*: one is for a message that belongs to no intent. A line
for each margin above the shipped threshold, then for each threshold of the cosine that candidates are found by.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from editing.data.messages import Messages, read_messages
from editing.edit import EditRequest
from editing.scope.index import ScopeIndex
from editing.scope.model import load_scope_model
from retrieval.encoders.encoder import Encoder, locate_encoder

MARGINS = (-2.0, -1.0, 0.0, 1.0, 2.0)
COSINES = (0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Found:
    """The intent of a message (None: of none), and the best edit with its score."""

    intent: str | None
    edit: str | None
    score: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--wordings", type=int, nargs="+", default=[1, 5], help="messages that an edit is made with")
    parser.add_argument("--messages", type=int, default=10, help="messages asked of each intent")
    parser.add_argument("--none", type=int, default=300, help="messages asked that belong to none")
    chosen = parser.parse_args()
    messages, encoder = read_messages(chosen.file), Encoder.load(None)
    print("| wordings | decision | own | another's | none's |\n|---|---|---|---|---|")
    for wordings in chosen.wordings:
        edits, asked = divided(messages, wordings, chosen.messages, chosen.none)
        for line in (*by_model(encoder, edits, asked), *by_cosine(encoder, edits, asked)):
            print(f"| {wordings} | {line} |", flush=True)


def divided(
    messages: Messages, wordings: int, asked: int, none: int
) -> tuple[dict[str, list[str]], list[tuple[str | None, str]]]:
    """The messages that each intent's edit is made with, and those that are asked."""
    rng, edits, questions = random.Random(0), dict[str, list[str]](), list[tuple[str | None, str]]()
    for intent, texts in messages.items():
        drawn = rng.sample(list(texts), len(texts))
        if intent is None:
            questions += [(None, text) for text in drawn[:none]]
            continue
        edits[intent] = drawn[:wordings]
        questions += [(intent, text) for text in drawn[wordings : wordings + asked]]
    return edits, questions


def by_model(encoder: Encoder, edits: dict[str, list[str]], asked: Sequence[tuple[str | None, str]]) -> Iterator[str]:
    scope = ScopeIndex(load_scope_model(locate_encoder()), encoder.encode, encoder.dimension)
    for intent, texts in edits.items():
        output = intent.replace("_", " ")
        scope.add(intent, scope.wordings(EditRequest(texts[0], output, rephrases=tuple(texts[1:]))))
    every = np.ones(len(edits), bool)
    best = [next(iter(scope.rank(text, every)), None) for _, text in asked]
    found = [
        Found(intent, one.edit_id if one else None, one.score if one else -np.inf)
        for (intent, _), one in zip(asked, best, strict=True)
    ]
    yield from (f"scope model, margin {margin:+.1f} | {rates(found, margin)}" for margin in MARGINS)


def by_cosine(encoder: Encoder, edits: dict[str, list[str]], asked: Sequence[tuple[str | None, str]]) -> Iterator[str]:
    owners = [intent for intent, texts in edits.items() for _ in texts]
    rows = encoder.encode([text for texts in edits.values() for text in texts])
    similar = encoder.encode([text for _, text in asked]) @ rows.T
    found = [
        Found(intent, owners[row.argmax()], float(row.max())) for (intent, _), row in zip(asked, similar, strict=True)
    ]
    yield from (f"cosine, at least {least:.1f} | {rates(found, least)}" for least in COSINES)


def rates(found: Sequence[Found], least: float) -> str:
    some = [one for one in found if one.intent is not None]
    none = [one for one in found if one.intent is None]
    own = sum(one.score > least and one.edit == one.intent for one in some) / len(some)
    other = sum(one.score > least and one.edit != one.intent for one in some) / len(some)
    fired = f"{sum(one.score > least for one in none) / len(none):.3f}" if none else "–"
    return f"{own:.3f} | {other:.3f} | {fired}"


if __name__ == "__main__":
    main()

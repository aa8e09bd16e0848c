"""Does scope understand conversations? The last turn alone beside the turn with what was said before it.

``python -m benchmarks.conversations`` decides for each conversation in ``tests/editing/scope/conversations.jsonl``
which of thirty edits it asks about, with the shipped scope model and the encoder that the service uses; no language
model is loaded. *Recall*: of the conversations that ask what an edit answers, how many find that very edit.
*Precision*: of those that find an edit, how many find the one that they ask about. *Still*: of those that ask nothing
of the kind, how many find none. The scope model was trained on none of them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from editing.edit import EditRequest
from editing.scope.index import ScopeIndex
from editing.scope.model import load_scope_model
from editing.scope.prompt import ScopePrompt
from retrieval.encoders.encoder import Encoder, locate_encoder

SET = Path(__file__).parent.parent / "tests" / "editing" / "scope" / "conversations.jsonl"
Read = Callable[[Sequence[tuple[str, str]]], ScopePrompt]


@dataclass(frozen=True)
class Conversation:
    """User and assistant in turn; ``asks`` is the input of the edit that the last turn asks about, if any."""

    part: str
    kind: str
    asks: str | None
    turns: tuple[tuple[str, str], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("open", "aside"), help="one half only")
    parser.add_argument("--wrong", action="store_true", help="show what is decided wrongly")
    chosen = parser.parse_args()
    inputs = sorted({c.asks for c in conversations() if c.asks})
    scope = scope_of(inputs)
    print("| set | of | conversations | precision | recall | still | ms |\n" + "|---" * 7 + "|")
    for part in [chosen.part] if chosen.part else ["open", "aside"]:
        some = [c for c in conversations() if c.part == part]
        for name, read in (("last turn", last_turn), ("conversation", ScopePrompt.of)):
            print(row(part, name, some, Decisions.of(scope, inputs, read, some)), flush=True)
    if chosen.wrong:
        show_wrong(scope, inputs, [c for c in conversations() if chosen.part in (None, c.part)])


def conversations(path: Path = SET) -> list[Conversation]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Conversation(
            line["part"],
            line["kind"],
            line["asks"],
            tuple((("user", "assistant")[i % 2], text) for i, text in enumerate(line["turns"])),
        )
        for line in lines
    ]


def scope_of(inputs: Sequence[str]) -> ScopeIndex:
    """A scope index that holds an edit for each input, under the input itself."""
    encoder = Encoder.load()
    scope = ScopeIndex(load_scope_model(locate_encoder()), encoder.encode, encoder.dimension)
    for text in inputs:
        scope.add(text, scope.wordings(EditRequest(text, "x")))
    return scope


def last_turn(turns: Sequence[tuple[str, str]]) -> ScopePrompt:
    return ScopePrompt(turns[-1][1])


@dataclass(frozen=True)
class Decisions:
    """What was found for each conversation, and the milliseconds that it took."""

    found: tuple[str | None, ...]
    ms: float

    @classmethod
    def of(cls, scope: ScopeIndex, inputs: Sequence[str], read: Read, some: Sequence[Conversation]) -> Decisions:
        began = time.perf_counter()
        found = [decided(scope, inputs, read(conversation.turns)) for conversation in some]
        return cls(tuple(found), (time.perf_counter() - began) / len(some) * 1000)


def decided(scope: ScopeIndex, inputs: Sequence[str], about: ScopePrompt) -> str | None:
    """The best edit in scope."""
    match = scope.best(about, inputs)
    return match.edit_id if match else None


def row(part: str, name: str, some: Sequence[Conversation], made: Decisions) -> str:
    pairs = list(zip(some, made.found, strict=True))
    right = sum(f is not None and f == c.asks for c, f in pairs)
    fired, asking = sum(f is not None for f in made.found), sum(c.asks is not None for c in some)
    still = sum(f is None for c, f in pairs if c.asks is None)
    shares = [
        f"{a / b:.3f} ({a}/{b})" if b else "–"
        for a, b in ((right, fired), (right, asking), (still, len(some) - asking))
    ]
    return f"| {part} | {name} | {len(some)} | {' | '.join(shares)} | {made.ms:.0f} |"


def show_wrong(scope: ScopeIndex, inputs: Sequence[str], some: Sequence[Conversation]) -> None:
    for conversation in some:
        found = decided(scope, inputs, ScopePrompt.of(conversation.turns))
        if found != conversation.asks:
            said = " | ".join(text for _, text in conversation.turns)
            print(f"\n{said}\n  asks {conversation.asks}, found {found}")


if __name__ == "__main__":
    main()

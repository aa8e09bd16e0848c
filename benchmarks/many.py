"""Makes many corrections through the service, laid out in the log so that any number of them can be asked about.

Of one service's log, revisions show how it answers with 1, 10, 100, … edits in force: first ``ALONE`` corrections are
made one at a time, each taken back before the next; then the same in tens; then all of them, one after the other.
Everything is done once however often it is interrupted, since every correction has an idempotency key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from editing.data import Example

ALONE = 100
CHUNK = 64
Made = dict[str, Any]  # an item of the batch's answer


@dataclass(frozen=True)
class Stand:
    """A revision at which exactly these corrections are in force, and which of them are asked about there."""

    revision: int
    asked: tuple[int, ...]
    in_force: int


def make_all(client: httpx.Client, examples: Sequence[Example], say: Callable[[str], None]) -> dict[int, list[Stand]]:
    """Make what is missing; where to ask with how many edits in force."""
    few = min(ALONE, len(examples))
    singles = [_apart(client, examples, (n,)) for n in range(few)]
    say(f"{few} one at a time")
    tens = [_apart(client, examples, tuple(range(n, min(n + 10, few)))) for n in range(0, few, 10)]
    say(f"{few} in tens")
    _empty(client, examples)
    revisions: list[int] = []
    began, done = time.perf_counter(), 0
    for at in range(0, len(examples), CHUNK):
        chunk = range(at, min(at + CHUNK, len(examples)))
        made = list(_batch(client, examples, chunk, "all"))
        revisions += [item["revision"] for item in made]
        done += sum(not item["replayed"] for item in made)
        pace = (time.perf_counter() - began) / max(done, 1)
        say(f"{chunk.stop} of {len(examples)}, {pace:.2f} s each, {(len(examples) - chunk.stop) * pace / 60:.0f} min left")
    sizes = [size for size in (100, 1000, 10_000) if size <= len(examples)]
    whole = {size: [Stand(revisions[size - 1], tuple(range(size)), size)] for size in sizes}
    return {1: singles, 10: tens, **whole}


def _apart(client: httpx.Client, examples: Sequence[Example], which: tuple[int, ...]) -> Stand:
    """A state in which only these are in force."""
    _empty(client, examples)
    made = list(_batch(client, examples, which, f"only-{len(which)}"))
    return Stand(made[-1]["revision"], which, len(which))


def _empty(client: httpx.Client, examples: Sequence[Example]) -> None:
    """Take everything back, unless the corrections of the last part stand already."""
    model = client.get("/model").raise_for_status().json()
    if 0 < model["active_edits"] <= 10 < len(examples):
        client.post("/rollback", json={"to_revision": 0}).raise_for_status()


def _batch(client: httpx.Client, examples: Sequence[Example], which: Sequence[int], part: str) -> Iterator[Made]:
    bodies = [{"input": examples[n].edit.text, "output": examples[n].target, "force": True} for n in which]
    headers = {"Idempotency-Key": f"{part}-{which[0]}"}
    answer = client.post("/edits/batch", json={"edits": bodies}, headers=headers).raise_for_status().json()
    for item in answer["edits"]:
        if item["id"] is None:
            raise SystemExit(f"correction {which[item['index']]} was refused: {item['problem']}")
        yield item

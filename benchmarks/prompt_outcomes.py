"""Asks a service about corrections as of a revision: whether they hold, and whether they leave others alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.many import Stand
from editing.data.facts import HELD_OUT_RELATIONS, Example
from editing.language.views import View
from editing.verify import match

WANTED = ("edit", "chat", "statement")
KEPT = ("same_subject", "same_relation", "unrelated")
LONGEST = 16  # tokens of an answer


@dataclass(frozen=True)
class Asked:
    """One prompt at one revision.

    Attributes:
        in_force: edits in force there.
        which: number of the correction that the prompt is about.
        own: whether its edit answered, and whether another one did.
        good: it gave exactly the wanted answer, or, where it must keep it, the answer of the unedited model.
    """

    in_force: int
    which: int
    group: str
    kind: str
    prompt: str
    answer: str
    own: bool
    other: bool
    good: bool


class Questions:
    """Asks, several at a time, and notes each answer in a file that an interrupted run goes on from.

    Args:
        ids: the edits of a stand, by number of their correction; see ``edits_at``.
        ways: how many requests are under way together.
    """

    def __init__(self, client: httpx.Client, examples: Sequence[Example], notes: Path, ways: int = 8) -> None:
        self.client, self.examples, self.notes, self.ways = client, examples, notes, ways
        self.done = [Asked(**json.loads(line)) for line in notes.read_text().splitlines()] if notes.exists() else []
        self._unedited: dict[str, str] = {}

    def ask(self, stand: Stand, which: Sequence[int], say: Callable[[int, int], None]) -> None:
        """All prompts of these corrections as of the stand's revision."""
        known = {(one.in_force, one.which, one.kind, one.prompt) for one in self.done}
        todo = [
            (n, kind, view)
            for n in which
            for kind, view in prompts(self.examples[n])
            if (stand.in_force, n, kind, view.text) not in known
        ]
        with ThreadPoolExecutor(self.ways) as pool, self.notes.open("a") as file:
            for count, one in enumerate(pool.map(lambda item: self._one(stand, *item), todo), 1):
                self.done.append(one)
                file.write(json.dumps(asdict(one)) + "\n")
                file.flush()
                say(count, len(todo))

    def _one(self, stand: Stand, n: int, kind: str, view: View) -> Asked:
        example = self.examples[n]
        said = self._said(view, revision=stand.revision)
        own = stand.ids.get(n)
        used = said["edits_used"]
        held = match(said["text"], example.target) == "exact"
        good = held if kind in WANTED else said["text"] == self._before(view)
        group = "relation" if example.relation in HELD_OUT_RELATIONS else "subject"
        others = any(i != own for i in used)
        return Asked(stand.in_force, n, group, kind, view.text, said["text"], own in used, others, good)

    def _before(self, view: View) -> str:
        if view.text not in self._unedited:
            self._unedited[view.text] = self._said(view, edits="none")["text"]
        return self._unedited[view.text]

    def _said(self, view: View, **more: Any) -> dict[str, Any]:
        body = {"prompt": view.text, "raw": view.raw, "max_tokens": LONGEST, **more}
        answer: dict[str, Any] = self.client.post("/generate", json=body).raise_for_status().json()
        return answer


def prompts(example: Example) -> Iterator[tuple[str, View]]:
    """What is asked about a correction, with its kind."""
    yield "edit", example.edit
    for kind, views in (("chat", example.chat), ("statement", example.statements[:1])):
        yield from ((kind, view) for view in views)
    for kind in KEPT:
        yield from ((kind, view) for view in getattr(example, kind))

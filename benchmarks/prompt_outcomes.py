"""Asks a service about corrections as of a revision: whether they hold, and whether they leave others alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.correction_log import EditsAtRevision
from editing.data.facts import HELD_OUT_RELATIONS, Example
from editing.language.views import View
from editing.verify import match
from errata.journal import append_journal, read_journal

WANTED = ("edit", "chat", "statement")
KEPT = ("same_subject", "same_relation", "unrelated")
LONGEST = 16  # tokens of an answer


@dataclass(frozen=True)
class PromptOutcome:
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


class OutcomeCollector:
    """Asks, several at a time, and keeps each outcome in a journal that an interrupted run goes on from.

    Args:
        examples: the corrections, by number.
        together: how many requests are under way together.
    """

    def __init__(self, client: httpx.Client, examples: Sequence[Example], journal: Path, together: int = 8) -> None:
        self.client, self.examples, self.journal, self.together = client, examples, journal, together
        self.done = [PromptOutcome(**record) for record in read_journal(journal)]
        self._unedited: dict[str, str] = {}

    def ask(self, at: EditsAtRevision, which: Sequence[int]) -> None:
        """All prompts of these corrections as of that revision."""
        known = {(one.in_force, one.which, one.kind, one.prompt) for one in self.done}
        todo = [
            (n, kind, view)
            for n in which
            for kind, view in prompts(self.examples[n])
            if (at.in_force, n, kind, view.text) not in known
        ]
        with ThreadPoolExecutor(self.together) as pool:
            for one in pool.map(lambda item: self._one(at, *item), todo):
                self.done.append(one)
                append_journal(self.journal, [asdict(one)])

    def _one(self, at: EditsAtRevision, n: int, kind: str, view: View) -> PromptOutcome:
        example = self.examples[n]
        answer = self._answer(view, revision=at.revision)
        own = at.ids.get(n)
        used = answer["edits_used"]
        held = match(answer["text"], example.target) == "exact"
        good = held if kind in WANTED else answer["text"] == self._before(view)
        group = "relation" if example.relation in HELD_OUT_RELATIONS else "subject"
        others = any(i != own for i in used)
        return PromptOutcome(at.in_force, n, group, kind, view.text, answer["text"], own in used, others, good)

    def _before(self, view: View) -> str:
        if view.text not in self._unedited:
            self._unedited[view.text] = self._answer(view, edits="none")["text"]
        return self._unedited[view.text]

    def _answer(self, view: View, **more: Any) -> dict[str, Any]:
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

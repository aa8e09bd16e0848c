"""Makes many corrections through the service, laid out in the log so that any number of them can be asked about.

Of one service's log, revisions show how it answers with 1, 10, 100, … edits in force: first ``ALONE`` corrections are
made one at a time, each taken back before the next; then the same in tens; then all of them, one after the other.
Everything is done once however often it is interrupted, since every correction has an idempotency key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from editing.data.facts import Example
from service.progress import ProgressReporter

ALONE = 100
CHUNK = 64


@dataclass(frozen=True)
class EditsAtRevision:
    """A revision at which exactly these corrections are in force.

    Attributes:
        ids: edit id by number of the correction.
    """

    revision: int
    ids: Mapping[int, str]

    @property
    def in_force(self) -> int:
        return len(self.ids)


def make_all(client: httpx.Client, examples: Sequence[Example], progress: ProgressReporter) -> None:
    """Make what is missing."""
    few = min(ALONE, len(examples))
    for name, size in (("one at a time", 1), ("in tens", 10)):
        with progress.stage(name, few, "corrections") as stage:
            for n in range(0, few, size):
                _apart(client, examples, range(n, min(n + size, few)))
                stage.update(min(n + size, few))
    _empty(client, examples)
    with progress.stage("all of them", len(examples), "corrections") as stage:
        for at in range(0, len(examples), CHUNK):
            chunk = range(at, min(at + CHUNK, len(examples)))
            _batch(client, examples, chunk, "all")
            stage.update(chunk.stop)


def revisions_by_size(
    events: Iterable[Mapping[str, Any]], sizes: Sequence[int] = (1, 10, 100, 1000, 10_000)
) -> dict[int, list[EditsAtRevision]]:
    """Where to ask with how many edits in force, as the log tells; sizes that it does not reach are left out."""
    parts: dict[str, list[tuple[int, str, int]]] = defaultdict(list)  # number, edit and revision by part
    for event in events:
        part, _, place = (event["idempotency_key"] or "").rpartition("/")
        if event["kind"] == "apply" and place:
            name, _, first = part.rpartition("-")
            parts[name if name == "all" else part].append((int(first) + int(place), event["edit_id"], event["seq"]))
    whole = parts.pop("all", [])
    found: dict[int, list[EditsAtRevision]] = defaultdict(list)
    for made in (*parts.values(), *(whole[:size] for size in sizes if size > 10 and size <= len(whole))):
        found[len(made)].append(EditsAtRevision(made[-1][2], {n: edit for n, edit, _ in made}))
    return {size: found[size] for size in sizes if size in found}


def service_events(client: httpx.Client) -> Iterator[dict[str, Any]]:
    """The service's events, in order."""
    after: int | None = 0
    while after is not None:
        page = client.get("/log", params={"after": after, "limit": 1000}).raise_for_status().json()
        yield from page["events"]
        after = page["next_after"]


def _apart(client: httpx.Client, examples: Sequence[Example], which: range) -> None:
    """A state in which only these are in force."""
    _empty(client, examples)
    _batch(client, examples, which, f"only-{len(which)}")


def _empty(client: httpx.Client, examples: Sequence[Example]) -> None:
    """Take everything back, unless the corrections of the last part stand already."""
    model = client.get("/model").raise_for_status().json()
    if 0 < model["active_edits"] <= 10 < len(examples):
        client.post("/rollback", json={"to_revision": 0}).raise_for_status()


def _batch(client: httpx.Client, examples: Sequence[Example], which: range, part: str) -> None:
    bodies = [{"input": examples[n].edit.text, "output": examples[n].target, "force": True} for n in which]
    headers = {"Idempotency-Key": f"{part}-{which[0]}"}
    answer = client.post("/edits/batch", json={"edits": bodies}, headers=headers).raise_for_status().json()
    if refused := [item for item in answer["edits"] if item["id"] is None]:
        raise SystemExit(f"correction {which[refused[0]['index']]} was refused: {refused[0]['problem']}")

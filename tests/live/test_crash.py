"""kill -9 of the real server while it writes: what was acknowledged stays, what was not is whole or absent."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from editing.ledger.events import FIELDS, GENESIS, Event
from editing.ledger.state import fold
from editing.store import EditStore
from tests.real import Server, correction, new_home

KILLS_PER_LANE = 11
LANES = 2  # servers on homes of their own, so that one starts while the other works
COUNTRIES = ("Peru", "Chad", "Fiji", "Iran", "Cuba", "Oman", "Togo", "Mali", "Laos", "Iraq", "Nepal", "Kenya")
SETTINGS = {"ERRATA_VERIFY_TOKENS": "8", "ERRATA_THREADS": "1"}
CITIES = ("Paris", "Rome", "Oslo", "Lima", "Bern")


@dataclass
class Lane:
    """One home, and what its servers have told their client."""

    home: Path
    rng: random.Random
    edits: dict[str, dict[str, Any]] = field(default_factory=dict)  # acknowledged answers by key
    rollbacks: dict[str, int] = field(default_factory=dict)  # acknowledged: edit -> revision
    begun: dict[str, dict[str, Any]] = field(default_factory=dict)  # bodies sent, by key
    asked_back: set[str] = field(default_factory=set)  # edits whose rollback was sent
    killed_in: list[str] = field(default_factory=list)
    doing: str = ""

    def work(self, server: Server) -> None:
        """Edits and rollbacks, one after the other, until the server is gone."""
        try:
            for key in [key for key in self.begun if key not in self.edits]:
                self._edit(server, key)  # the same request again: recorded once
            while True:
                key = f"{len(self.begun)}"
                question = f"What is the capital of {COUNTRIES[len(self.begun) % len(COUNTRIES)]}?"
                self.begun[key] = correction(question, self.rng.choice(CITIES))
                self._edit(server, key)
                standing = [e["id"] for e in self.edits.values() if e["id"] not in self.asked_back]
                if standing and self.rng.random() < 0.6:
                    self._roll_back(server, self.rng.choice(standing))
        except httpx.TransportError:
            return

    def _edit(self, server: Server, key: str) -> None:
        self.doing = "edit"
        reply = server.post("/edit", self.begun[key], {"Idempotency-Key": key})
        assert reply.status_code == 201, reply.text
        self.edits[key] = reply.json()

    def _roll_back(self, server: Server, edit_id: str) -> None:
        self.doing = "rollback"
        self.asked_back.add(edit_id)
        reply = server.post("/rollback", {"edit_id": edit_id})
        assert reply.status_code == 200, reply.text
        self.rollbacks[edit_id] = reply.json()["revision"]

    def kill_at_a_random_moment(self, server: Server) -> None:
        """Every second time when bytes are being written, else at any moment of the work."""
        writing = self.rng.random() < 0.6
        wanted = self.rng.choice((".tmp", "journal", "rollback"))
        goal = len(self.edits) + self.rng.choice((0, 0, 1, 2))
        end = time.monotonic() + 30  # a busy machine may take longer than that for an edit
        while len(self.edits) < goal and time.monotonic() < end:
            time.sleep(0.001)
        if not writing:
            time.sleep(self.rng.uniform(0, 1.5))
        while writing and time.monotonic() < end and not self._is_writing(wanted):
            time.sleep(0.0002)
        if writing:
            time.sleep(self.rng.uniform(0, 0.012))
        self.killed_in.append(f"{self.doing}{' while writing' if writing else ''}")
        server.kill()

    def _is_writing(self, what: str) -> bool:
        if what == "rollback":
            return self.doing == "rollback"
        if what == "journal":
            return (self.home / "ledger.db-journal").exists()
        return any((self.home / "edits" / ".tmp").glob("*"))


def check(lane: Lane, server: Server) -> None:
    """What the log of a restarted server holds is all that was acknowledged, and nothing half."""
    events = server.events()
    verified = server.get("/log/verify")
    assert verified["ok"] and verified["events"] == len(events), verified
    assert verified["head_hash"] == (events[-1]["hash"] if events else GENESIS)
    applied = {event["edit_id"]: event for event in events if event["kind"] == "apply"}
    taken_back = {event["edit_id"]: event["seq"] for event in events if event["kind"] == "rollback"}
    for answer in lane.edits.values():
        event = applied[answer["id"]]
        assert (event["seq"], event["report"], event["request"]) == (
            answer["revision"],
            answer["report"],
            answer["request"],
        )
    assert lane.rollbacks.items() <= taken_back.items(), "an acknowledged rollback is missing"
    assert set(taken_back) <= lane.asked_back
    store = EditStore(lane.home / "edits")
    for event in applied.values():
        assert store.load(event["factors"])
        body = lane.begun[event["idempotency_key"]]
        assert event["request"]["input"] == body["input"] and event["request"]["output"] == body["output"]
        assert {"before", "after", "efficacy", "generalization", "locality"} <= set(event["report"])
    keys = [event["idempotency_key"] for event in applied.values()]
    assert len(keys) == len(set(keys)), "a request was recorded twice"
    state = fold(Event(**{name: event[name] for name in FIELDS}) for event in events)
    shown = server.get("/edits", status="active", limit=100)
    assert [edit["id"] for edit in shown["edits"]] == list(state.active)
    assert shown["revision"] == state.revision == len(events)


def run_lane(home: Path, seed: int) -> Lane:
    lane = Lane(home, random.Random(seed))
    for _ in range(KILLS_PER_LANE):
        with Server(home, SETTINGS) as server:
            check(lane, server)
            with ThreadPoolExecutor(1) as pool:
                working = pool.submit(lane.work, server)
                lane.kill_at_a_random_moment(server)
                working.result()
    with Server(home, SETTINGS) as server:
        check(lane, server)
    return lane


def test_nothing_acknowledged_is_lost_and_nothing_is_half_there_after_kill_9(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed 22 times while it edits and rolls back, the server comes back each time with every answer that it gave,
    with the others whole or absent, with a log that verifies, and with the state that the log folds to."""
    seed = random.SystemRandom().randrange(2**32)
    with capsys.disabled():
        print(f"\ncrash test: seed {seed}")
    homes = [new_home(tmp_path / f"home{number}") for number in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        lanes = list(pool.map(run_lane, homes, (seed, seed + 1)))
    with capsys.disabled():
        print("killed in:", ", ".join(where for lane in lanes for where in lane.killed_in))
    assert sum(len(lane.killed_in) for lane in lanes) >= 20
    assert sum(len(lane.edits) for lane in lanes) >= 5

"""The same home, opened again or by a second process, answers the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.real import Server, correction

SETTINGS = {"ERRATA_VERIFY_TOKENS": "8"}
PERU, HAMLET = "What is the capital of Peru?", "Who wrote Hamlet?"


def _answers(server: Server, revisions: range) -> list[dict[str, Any]]:
    """Everything asked as of every revision."""
    bodies = [
        {"prompt": prompt, "revision": revision, "max_tokens": 8} for revision in revisions for prompt in (PERU, HAMLET)
    ]
    replies = [server.post("/generate", body) for body in bodies]
    assert {reply.status_code for reply in replies} == {200}
    return [reply.json() for reply in replies]


def test_a_second_process_and_a_restart_answer_the_same_at_the_same_revision(home: Path) -> None:
    """A second process sees the edits and the rollback of the first, either way round, and gives the same answers at
    each revision; so does a server that is started again. A key that was used is replayed by both."""
    with Server(home, SETTINGS) as first, Server(home, SETTINGS) as second:
        keyed = {"Idempotency-Key": "4711"}
        one = first.post("/edit", correction(PERU, "Oslo"), keyed)
        two = second.post("/edit", correction(HAMLET, "Bacon"))
        assert (one.status_code, two.status_code) == (201, 201), one.text + two.text
        assert (one.json()["revision"], two.json()["revision"]) == (1, 2)
        assert second.post("/rollback", {"edit_id": one.json()["id"]}).json()["revision"] == 3
        answers = _answers(first, range(4))
        assert answers == _answers(second, range(4))
        assert first.get("/model")["revision"] == 3
    with Server(home, SETTINGS) as restarted:
        assert _answers(restarted, range(4)) == answers
        replayed = restarted.post("/edit", correction(PERU, "Oslo"), keyed)
        assert (replayed.status_code, replayed.json()) == (201, one.json())
        assert replayed.headers["Idempotent-Replayed"] == "true"
        assert len(restarted.events()) == 3

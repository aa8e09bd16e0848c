"""Many clients at once on one real server: every answer is that of the revision which it names."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.real import Server, correction

CLIENTS = 16
SETTINGS = {"ERRATA_VERIFY_TOKENS": "8"}
PROMPTS = (
    "What is the capital of Peru?",
    "Name Peru's capital city.",
    "What is the capital of Chad?",
    "Who wrote Hamlet?",
)


def _asked(server: Server, prompt: str, **more: Any) -> dict[str, Any]:
    reply = server.post("/generate", {"prompt": prompt, "max_tokens": 6, **more})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_sixteen_clients_get_answers_of_exactly_the_revision_that_each_names(home: Path) -> None:
    """While edits and rollbacks happen, 16 clients generate; asked again as of the revision that an answer names, the
    same prompt has the same text and the same edits."""
    answers: list[tuple[str, dict[str, Any]]] = []
    done = threading.Event()
    with Server(home, SETTINGS) as server:

        def client(number: int) -> None:
            while not done.is_set():
                prompt = PROMPTS[number % len(PROMPTS)]
                answers.append((prompt, _asked(server, prompt)))

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(client, number) for number in range(CLIENTS)]
            try:
                for city in ("Oslo", "Rome"):
                    made = server.post("/edit", correction(PROMPTS[0], city))
                    assert made.status_code == 201, made.text
                    back = server.post("/rollback", {"edit_id": made.json()["id"]})
                    assert back.status_code == 200, back.text
            finally:
                done.set()
            for finished in clients:
                finished.result()
        assert len(answers) >= CLIENTS
        assert len({answer["revision"] for _, answer in answers}) > 1
        again: dict[tuple[str, int], dict[str, Any]] = {}
        for prompt, answer in answers:
            key = prompt, answer["revision"]
            if key not in again:
                again[key] = _asked(server, prompt, revision=answer["revision"])
            assert answer == again[key]


def test_of_two_writers_with_the_same_if_match_one_wins(home: Path) -> None:
    """Two edits at once that both name the head: one is made, the other gets 412 and leaves nothing behind."""
    with Server(home, SETTINGS) as server, ThreadPoolExecutor(2) as pool:
        bodies = (correction(PROMPTS[0], "Oslo"), correction(PROMPTS[2], "Rome"))
        replies = list(pool.map(lambda body: server.post("/edit", body, {"If-Match": '"0"'}), bodies))
        assert sorted(reply.status_code for reply in replies) == [201, 412]
        refused = next(reply for reply in replies if reply.status_code == 412)
        assert refused.headers["content-type"] == "application/problem+json"
        assert len(server.events()) == 1

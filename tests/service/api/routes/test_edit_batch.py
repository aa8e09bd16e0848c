"""Many edits with one request, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
from starlette.testclient import TestClient

from service.errors import ContradictingEdits, IdempotencyInProgress, RevisionMoved
from tests.service.fakes import FakeService
from tests.service.problems import problem

ONE: dict[str, Any] = {"input": "What is the capital of Australia?", "output": "Canberra"}
WRONG: dict[str, Any] = {**ONE, "output": "wrong"}


def test_one_item_for_each_edit(client: TestClient) -> None:
    """What was made has the fields of an edit and its place; what was refused has the problem of it."""
    response = client.post("/edits/batch", json={"edits": [ONE, WRONG, {**ONE, "dry_run": True}]})
    body = response.json()
    made, refused, rehearsed = body["edits"]
    assert (response.status_code, response.headers["etag"]) == (200, '"5"')
    assert (body["made"], body["refused"], body["revision"]) == (1, 1, 5)
    single = client.post("/edit", json=ONE).json()
    assert made == {**single, "index": 0, "replayed": False}
    assert (refused["index"], refused["id"], refused["status"]) == (1, None, "refused")
    assert refused["problem"]["type"] == "/problems/checks-failed" and refused["problem"]["report"]["efficacy"] is False
    assert (rehearsed["index"], rehearsed["id"], rehearsed["status"]) == (2, None, "active")


def test_what_each_item_is_made_with(client: TestClient, service: FakeService) -> None:
    """Keys by place; the head is compared before the first only, since every edit moves it."""
    headers = {"Idempotency-Key": "k", "If-Match": '"4"', "X-Actor": "ada"}
    client.post("/edits/batch", json={"edits": [{**ONE, "reason": "r"}, {**ONE, "force": True}]}, headers=headers)
    first, second = (options for _, options in service.calls[0][1])
    assert (first.idempotency_key, first.if_match, first.actor, first.reason) == ("k/0", 4, "ada", "r")
    assert (second.idempotency_key, second.if_match, second.force) == ("k/1", None, True)
    assert first.fingerprint != second.fingerprint


def test_without_a_key_items_have_none(client: TestClient, service: FakeService) -> None:
    """Nothing is replayed that nobody asked to be."""
    client.post("/edits/batch", json={"edits": [ONE]})
    assert service.calls[0][1][0][1].idempotency_key is None


def test_items_recorded_before_are_marked(client: TestClient, service: FakeService) -> None:
    """The batch sent again says which of its items stood already."""
    service.replayed = True
    body = client.post("/edits/batch", json={"edits": [ONE]}, headers={"Idempotency-Key": "k"}).json()
    assert body["edits"][0]["replayed"] is True and body["made"] == 1


def test_streamed_items_come_as_they_are_done(client: TestClient) -> None:
    """One event an item, then the whole answer, then the end."""
    body = {"edits": [ONE, WRONG], "stream": True}
    whole = client.post("/edits/batch", json={"edits": [ONE, WRONG]}).json()
    response = client.post("/edits/batch", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, end = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert end == "[DONE]"
    assert [json.loads(event) for event in events] == [*whole["edits"], whole]


def test_a_client_that_leaves_stops_the_batch(url: str, service: FakeService) -> None:
    """What was done stays done; nothing further is begun."""
    body = {"edits": [ONE] * 1000, "stream": True}
    service.between = lambda _: service.stopped.wait(0.05)
    with httpx.stream("POST", f"{url}/edits/batch", json=body) as response:
        next(response.iter_lines())
    assert service.stopped.wait(10)
    assert sum(call[0] == "edit" for call in service.calls) < 1000


def test_contradictions_name_both(client: TestClient, service: FakeService) -> None:
    """422 with the paths of the two that want different answers to one question."""
    service.fails["edit_many"] = ContradictingEdits([(0, 3), (1, 2)])
    document = problem(client.post("/edits/batch", json={"edits": [ONE]}), 422)
    assert document["type"] == "/problems/contradicting-edits"
    assert [error["field"] for error in document["errors"]] == ["edits.0", "edits.3", "edits.1", "edits.2"]
    assert "edits.3 contradicts edits.0" in document["detail"]


def test_refusals_of_the_whole_batch(client: TestClient, service: FakeService) -> None:
    """Another head, or the same batch still at work."""
    service.fails["edit_many"] = RevisionMoved(3, 4)
    document = problem(client.post("/edits/batch", json={"edits": [ONE]}, headers={"If-Match": '"3"'}), 412)
    assert document["type"] == "/problems/revision-moved"
    service.fails["edit_many"] = IdempotencyInProgress("still running")
    document = problem(client.post("/edits/batch", json={"edits": [ONE]}), 409)
    assert document["type"] == "/problems/idempotency-in-progress"


def test_batches_that_are_none(client: TestClient, service: FakeService) -> None:
    """Empty, too many, or with a broken item: refused before anything is made, and the place is named."""
    cases: list[tuple[Any, str]] = [
        ([], "edits"),
        ([ONE] * 1001, "edits"),
        ([ONE, {"input": "x"}], "edits.1.output"),
        ([ONE, {**ONE, "colour": 1}], "edits.1.colour"),
        ([ONE, 7], "edits.1"),
    ]
    for edits, field in cases:
        document = problem(client.post("/edits/batch", json={"edits": edits}), 422)
        assert document["type"] == "/problems/invalid-request"
        assert [error["field"] for error in document["errors"]] == [field]
    problem(client.post("/edits/batch", json={"edits": [ONE]}, headers={"Idempotency-Key": "k" * 201}), 422)
    assert not service.calls


def test_a_batch_may_be_larger_than_other_bodies(client: TestClient) -> None:
    """A thousand edits of some length; the same bytes are too many for one edit."""
    long = {**ONE, "reason": "r" * 1900}
    assert client.post("/edits/batch", json={"edits": [long] * 900}).status_code == 200
    document = problem(client.post("/edit", json={**ONE, "rephrases": ["x" * (1 << 20)]}), 413)
    assert document["type"] == "/problems/body-too-large"

"""Edits, rollbacks and the log over HTTP."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from starlette.testclient import TestClient

from editing.edit import EditRequest
from editing.errors import InvalidEdit, LedgerConflict, StorageError
from service.api.schemas.requests import EditBody
from service.errors import IdempotencyInProgress, IdempotencyMismatch, RevisionMoved
from service.types.edits import Amendment
from tests.service.fakes import AT, EDIT, EVENT, REPORT, FakeService
from tests.service.problems import problem

BODY: dict[str, Any] = {"input": "What is the capital of Australia?", "output": "Canberra"}


def test_edit_answers_as_the_contract_says(client: TestClient, service: FakeService) -> None:
    """201, where the edit is, the revision that it made, and the report as it was written."""
    response = client.post("/edit", json={**BODY, "reason": "ticket 4711"}, headers={"X-Actor": "ada"})
    assert response.status_code == 201
    assert (response.headers["location"], response.headers["etag"]) == (f"/edits/{EDIT}", '"5"')
    assert "idempotent-replayed" not in response.headers
    assert response.json() == {
        "id": EDIT,
        "revision": 5,
        "status": "active",
        "created_at": AT,
        "actor": "ada",
        "reason": "ticket 4711",
        "request": {**BODY, "raw": False, "rephrases": [], "locality": [], "scope": "matched"},
        "supersedes": ["ed_old"],
        "report": REPORT,
    }


def test_edit_passes_everything_on(client: TestClient, service: FakeService) -> None:
    """Every field and header of the contract reaches the service."""
    rest = {"raw": True, "rephrases": ["a"], "locality": ["b", "c"], "scope": "global"}
    body = {**BODY, **rest, "reason": "r", "dry_run": False, "force": True}
    client.post(
        "/edit", json=body, headers={b"If-Match": b'"4"', b"Idempotency-Key": b"k" * 255, b"X-Actor": "José".encode()}
    )
    _, request, options = service.calls[0]
    assert request == EditRequest(BODY["input"], BODY["output"], True, ("a",), ("b", "c"), "global")
    assert (options.actor, options.reason, options.dry_run, options.force) == ("José", "r", False, True)
    assert (options.if_match, options.idempotency_key) == (4, "k" * 255)


def test_edit_without_a_name(client: TestClient, service: FakeService) -> None:
    """Who does not say who they are is anonymous; any revision will do for who does not name one."""
    client.post("/edit", json=BODY)
    options = service.calls[0][2]
    assert (options.actor, options.reason, options.if_match, options.idempotency_key) == ("anonymous", None, None, None)


def test_fingerprint_is_of_what_the_body_says(client: TestClient, service: FakeService) -> None:
    """Order, white space and defaults written out make no other request; another word does."""
    swapped = dict(reversed(BODY.items()))
    for body in (BODY, swapped, {**BODY, "force": False, "reason": None}, {**BODY, "output": "Sydney"}):
        client.post("/edit", json=body)
    first, *same, other = [call[2].fingerprint for call in service.calls]
    assert same == [first, first]
    assert other != first


class LaterEditBody(EditBody):
    """The body as a later release may have it."""

    note: str = ""


def test_a_field_that_a_later_release_adds_leaves_the_fingerprint_as_it_was() -> None:
    """A client that does not send it has sent the same body; one that does has not."""
    today, later = EditBody(**BODY, force=True), LaterEditBody(**BODY, force=True)
    assert later.fingerprint() == today.fingerprint()
    assert later.options("ada", None, None) == today.options("ada", None, None)
    assert LaterEditBody(**BODY, force=True, note="x").fingerprint() != today.fingerprint()


def test_the_fingerprint_that_release_0_1_recorded_is_known(client: TestClient, service: FakeService) -> None:
    """It was a digest of all fields, whether they were sent or not."""
    client.post("/edit", json=BODY)
    written = (
        '{"input":"What is the capital of Australia?","output":"Canberra","raw":false,"rephrases":[],"locality":[],'
        '"scope":"matched","reason":null,"dry_run":false,"force":false}'
    )
    assert service.calls[0][2].former_fingerprints == (hashlib.sha256(written.encode()).hexdigest(),)


def test_dry_run(client: TestClient) -> None:
    """A rehearsal is a 200 with the head's revision and no id."""
    response = client.post("/edit", json={**BODY, "dry_run": True})
    assert response.status_code == 200
    assert (response.json()["id"], response.json()["revision"]) == (None, 4)
    assert "location" not in response.headers


def test_failed_check(client: TestClient) -> None:
    """The report travels in the problem document; force records the edit all the same."""
    document = problem(client.post("/edit", json={**BODY, "output": "wrong"}), 422)
    assert document["type"] == "/problems/checks-failed"
    assert document["report"] == {**REPORT, "efficacy": False}
    assert client.post("/edit", json={**BODY, "output": "wrong", "force": True}).status_code == 201


def test_replay(client: TestClient, service: FakeService) -> None:
    """The first answer again, marked."""
    first = client.post("/edit", json=BODY, headers={"Idempotency-Key": "k"})
    service.replayed = True
    again = client.post("/edit", json=BODY, headers={"Idempotency-Key": "k"})
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.json(), again.headers["location"]) == (
        201,
        first.json(),
        first.headers["location"],
    )


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (IdempotencyMismatch("the key was used with another body"), 422, "idempotency-mismatch"),
        (IdempotencyInProgress("the first request is still running"), 409, "idempotency-in-progress"),
        (InvalidEdit("the output is longer than the context"), 422, "invalid-edit"),
        (StorageError("no space left on device"), 507, "storage-failed"),
        (LedgerConflict(3, 4), 409, "revision-moved"),
    ],
)
def test_edit_that_cannot_be_made(
    client: TestClient, service: FakeService, error: Exception, status: int, slug: str
) -> None:
    """Each reason has its own type, and the detail says what the service said."""
    service.fails["edit"] = error
    document = problem(client.post("/edit", json=BODY), status)
    assert (document["type"], document["detail"]) == (f"/problems/{slug}", str(error))


@pytest.mark.parametrize("tag", ["3", '"3"', ' "3" '])
def test_head_has_moved(client: TestClient, tag: str) -> None:
    """Who named a revision that is no longer the head gets 412 and the head."""
    document = problem(client.post("/edit", json=BODY, headers={"If-Match": tag}), 412)
    assert document["revision"] == 4


def test_any_head_will_do(client: TestClient, service: FakeService) -> None:
    """If-Match: * is no condition, so a lost race is a 409."""
    assert client.post("/edit", json=BODY, headers={"If-Match": "*"}).status_code == 201
    service.fails["rollback"] = RevisionMoved(3, 4)
    problem(client.post("/rollback", json={"edit_id": EDIT}, headers={"If-Match": "*"}), 409)
    problem(client.post("/rollback", json={"edit_id": EDIT}, headers={"If-Match": "3"}), 412)


def test_rollback_of_one_edit(client: TestClient, service: FakeService) -> None:
    """The answer says what is in force now and what was taken back."""
    body = {"edit_id": EDIT, "reason": "wrong"}
    response = client.post("/rollback", json=body, headers={"If-Match": "5", "X-Actor": "bob"})
    assert response.json() == {"revision": 6, "active": ["ed_other"], "rolled_back": [EDIT]}
    assert response.headers["etag"] == '"6"'
    assert service.calls == [("rollback", EDIT, "bob", "wrong", 5)]


def test_rollback_to_a_revision(client: TestClient, service: FakeService) -> None:
    """Revision 0 is a revision: the base model."""
    assert client.post("/rollback", json={"to_revision": 0, "edit_id": None}).json()["active"] == []
    assert service.calls == [("restore", 0, "anonymous", None, None)]


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"edit_id": "ed_nobody"}, 404, "unknown-edit"),
        ({"edit_id": "ed_done"}, 409, "edit-not-active"),
        ({"to_revision": 99}, 404, "unknown-revision"),
        ({"edit_id": "../../etc/passwd"}, 404, "unknown-edit"),
        ({"edit_id": "'; DROP TABLE events; --"}, 404, "unknown-edit"),
    ],
)
def test_nothing_to_roll_back(client: TestClient, body: dict[str, Any], status: int, slug: str) -> None:
    """What is not there or not active cannot be taken back."""
    assert problem(client.post("/rollback", json=body), status)["type"] == f"/problems/{slug}"


def test_list_of_edits(client: TestClient, service: FakeService) -> None:
    """A page, the way to the next, and the head it was read at."""
    response = client.get("/edits?status=all&limit=7&cursor=abc")
    document = response.json()
    assert (document["edits"][0]["id"], document["next_cursor"], document["revision"]) == (EDIT, "next", 5)
    assert response.headers["etag"] == '"5"'
    client.get("/edits")
    client.get("/edits?status=superseded&limit=1000&cursor=")
    assert [call[1:] for call in service.calls] == [
        ("all", 7, "abc"),
        ("active", 100, None),
        ("superseded", 1000, None),
    ]


def test_one_edit_with_its_events(client: TestClient) -> None:
    """Events are as the ledger has them."""
    document = client.get(f"/edits/{EDIT}").json()
    assert (document["id"], document["events"]) == (EDIT, [EVENT])
    assert problem(client.get("/edits/ed_nobody"), 404)["type"] == "/problems/unknown-edit"


def test_log(client: TestClient, service: FakeService) -> None:
    """Events in order; where to go on when the page is full."""
    assert client.get("/log").json() == {"events": [EVENT], "next_after": None}
    assert client.get("/log?after=0&limit=1").json()["next_after"] == 1
    assert client.get("/log?after=1").json() == {"events": [], "next_after": None}
    assert [call[1:] for call in service.calls] == [(0, 100), (0, 1), (1, 100)]


def test_log_verification(client: TestClient, service: FakeService) -> None:
    """A damaged log is an answer, not an error."""
    assert client.get("/log/verify").json() == {"ok": True, "events": 5, "head_hash": "a" * 64, "damaged": []}
    service.whole_log = False
    document = client.get("/log/verify").json()
    assert (document["ok"], document["first_bad_seq"], document["why"]) == (False, 3, "changed")


def test_amend_answers_with_the_edit(client: TestClient, service: FakeService) -> None:
    """The wordings, who gave them and why reach the service; the head is named."""
    body = {"add_rephrases": ["a"], "add_locality": ["b", "c"], "reason": "r"}
    response = client.patch(f"/edits/{EDIT}", json=body, headers={"X-Actor": "ada", "If-Match": '"4"'})
    assert response.status_code == 200 and response.json()["id"] == EDIT and response.headers["etag"]
    assert service.calls == [("amend", EDIT, Amendment(("a",), ("b", "c")), "ada", "r", 4)]
    assert problem(client.patch("/edits/ed_nobody", json=body), 404)
    wrong: dict[str, Any]
    for wrong in ({}, {"add_rephrases": []}, {"add_rephrases": [" "]}, {"rephrases": ["a"]}):
        assert problem(client.patch(f"/edits/{EDIT}", json=wrong), 422)


def test_match_says_what_was_considered(client: TestClient, service: FakeService) -> None:
    """One result for each prompt, or one for a conversation."""
    response = client.post("/edits/match", json={"prompts": ["a", "b"], "k": 3, "revision": 2})
    one = {"edit_id": EDIT, "score": 2.5, "kind": "asks", "nearest_wording": BODY["input"], "why": "it asks the same"}
    result = {"in_force": EDIT, "kind": "asks", "candidates": [one]}
    assert response.json() == {"results": [result, result], "revision": 2}
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert len(client.post("/edits/match", json={"messages": turns}).json()["results"]) == 1
    (_, queries, k, revision), (_, dialog, *_) = service.calls
    assert [query.prompt for query in queries] == ["a", "b"] and (k, revision) == (3, 2)
    assert [message.content for message in dialog[0].messages] == ["a", "b", "c"]
    wrong: dict[str, Any]
    for wrong in (
        {},
        {"prompts": []},
        {"prompts": ["a"] * 257},
        {"prompts": ["a"], "messages": turns},
        {"messages": turns[:2]},
    ):
        assert problem(client.post("/edits/match", json=wrong), 422)

"""The log's proofs, its comparison with a noted root, and redaction, over HTTP."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.service.fakes import AT, EDIT, FakeService
from tests.service.problems import fields, problem

A, B, C = "a" * 64, "b" * 64, "c" * 64


def test_root(client: TestClient, service: FakeService) -> None:
    """Of now, or of an earlier size."""
    assert client.get("/log/root").json() == {"tree_size": 5, "root_hash": B, "head_hash": A, "at": AT}
    assert client.get("/log/root?tree_size=0").json()["tree_size"] == 0
    assert service.calls == [("log_root", None), ("log_root", 0)]
    assert problem(client.get("/log/root?tree_size=6"), 404)["type"] == "/problems/unknown-revision"


def test_inclusion(client: TestClient, service: FakeService) -> None:
    """Everything that a verifier needs is in the answer."""
    assert client.get("/log/proof/inclusion?seq=3&tree_size=4").json() == {
        "seq": 3,
        "tree_size": 4,
        "leaf_index": 2,
        "event_hash": A,
        "leaf_hash": C,
        "root_hash": B,
        "proof": ["d" * 64],
    }
    assert client.get("/log/proof/inclusion?seq=3").json()["tree_size"] == 5
    assert service.calls == [("log_inclusion", 3, 4), ("log_inclusion", 3, None)]
    problem(client.get("/log/proof/inclusion?seq=6"), 404)


def test_consistency(client: TestClient, service: FakeService) -> None:
    """Between two sizes, or a size and now."""
    assert client.get("/log/proof/consistency?first=2&second=4").json() == {
        "first": 2,
        "second": 4,
        "first_root": B,
        "second_root": C,
        "proof": ["d" * 64],
    }
    assert client.get("/log/proof/consistency?first=0").json()["second"] == 5
    problem(client.get("/log/proof/consistency?first=6"), 404)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/log/root?tree_size=-1", "tree_size"),
        ("/log/root?size=1", "size"),
        ("/log/proof/inclusion", "seq"),
        ("/log/proof/inclusion?seq=0", "seq"),
        ("/log/proof/inclusion?seq=x", "seq"),
        ("/log/proof/inclusion?seq=1&tree_size=9223372036854775808", "tree_size"),
        ("/log/proof/inclusion?seq=3&tree_size=2", "query"),
        ("/log/proof/consistency", "first"),
        ("/log/proof/consistency?first=3&second=2", "query"),
        ("/log/proof/consistency?first=1.5", "first"),
        ("/log/verify?tree_size=1", "query"),
        (f"/log/verify?root_hash={A}", "query"),
        ("/log/verify?tree_size=1&root_hash=abc", "root_hash"),
        (f"/log/verify?tree_size=x&root_hash={A}", "tree_size"),
    ],
)
def test_queries_that_make_no_sense_are_refused(client: TestClient, path: str, field: str) -> None:
    """With the parameter that is wrong."""
    assert fields(problem(client.get(path), 422)) == [field]


def test_verify_with_a_noted_root(client: TestClient, service: FakeService) -> None:
    """The root reaches the service."""
    assert client.get(f"/log/verify?tree_size=3&root_hash={A}").status_code == 200
    name, noted = service.calls[-1]
    assert (name, noted.tree_size, noted.root_hash) == ("verify_log", 3, A)


def test_redact(client: TestClient, service: FakeService) -> None:
    """Who and why go with it; the answer carries the new head."""
    headers = {"X-Actor": "dpo", "If-Match": '"5"'}
    response = client.post("/redact", json={"edit_id": EDIT, "reason": "request 17"}, headers=headers)
    assert response.status_code == 200 and response.headers["ETag"] == '"6"'
    assert response.json() == {
        "revision": 6,
        "edit_id": EDIT,
        "redacted": True,
        "at": AT,
        "actor": "dpo",
        "reason": "request 17",
    }
    assert service.calls == [("redact", EDIT, "dpo", "request 17", 5)]


def test_redactions_that_are_refused(client: TestClient) -> None:
    """Unknown, active, and bodies that are none."""
    assert problem(client.post("/redact", json={"edit_id": "ed_no"}), 404)["type"] == "/problems/unknown-edit"
    refused = problem(client.post("/redact", json={"edit_id": "ed_active"}), 409)
    assert refused["type"] == "/problems/not-redactable" and "roll it back first" in refused["detail"]
    assert fields(problem(client.post("/redact", json={}), 422)) == ["edit_id"]
    assert fields(problem(client.post("/redact", json={"edit_id": EDIT, "all": True}), 422)) == ["all"]
    problem(client.get("/redact"), 405)

"""Health, readiness, metrics, indexes, the description of the API, and errors that nobody foresaw."""

from __future__ import annotations

import logging

import pytest
from starlette.testclient import TestClient

from editing.errors import CorruptFactors, CorruptLedger, EditingError, InvalidEdit
from index.errors import IndexingError, IndexMismatch
from service.api.error_handlers import TABLE
from service.errors import DamagedEdit
from service.types.edits import Damage
from service.types.service import Readiness
from tests.service.fakes import FakeService
from tests.service.problems import problem


def test_health_asks_nobody(client: TestClient, service: FakeService) -> None:
    """The process is up, whatever its parts are doing."""
    assert client.get("/healthz").json() == {"status": "ok"}
    assert service.calls == []


def test_readiness(client: TestClient, service: FakeService) -> None:
    """503 says what is missing and why; damaged edits are named and are no reason for a 503."""
    assert client.get("/readyz").json() == {"ready": True, "damaged": []}
    service.ready = Readiness(True, damaged=(Damage("ed_a", 3, "missing"),))
    named = [{"edit_id": "ed_a", "seq": 3, "why": "missing"}]
    assert client.get("/readyz").json() == {"ready": True, "damaged": named}
    service.not_ready()
    document = problem(client.get("/readyz"), 503)
    assert document["missing"] == [{"what": "index", "why": "10 of 40 shards are embedded"}]


def test_model(client: TestClient) -> None:
    """What is served and at which revision."""
    response = client.get("/model")
    assert {"base_model", "base_digest", "editor", "editor_digest", "edited_layers", "revision"} <= set(response.json())
    assert response.headers["etag"] == '"5"'


def test_indexes(client: TestClient) -> None:
    """Versions are listed, one of them can be made to answer."""
    assert {"version", "passages", "dimension", "type", "built_at", "active"} == set(
        client.get("/indexes").json()["indexes"][0]
    )
    assert client.post("/indexes/v1/activate").json()["version"] == "v1"
    assert problem(client.post("/indexes/v2/activate"), 404)["type"] == "/problems/unknown-index"


def test_metrics_count_by_route_template(client: TestClient, service: FakeService) -> None:
    """Ids do not become labels, unknown paths share one, edits and tokens are counted, gauges are fresh."""
    client.post("/generate", json={"prompt": "x"})
    client.post("/generate", json={"prompt": "x", "stream": True})
    client.post("/ask", json={"question": "x"})
    client.post("/edit", json={"input": "x", "output": "y"})
    client.post("/edit", json={"input": "x", "output": "y", "dry_run": True})
    client.post("/edit", json={"input": "x", "output": "wrong"})
    client.get("/edits/ed_nobody")
    client.get("/edits/ed_nobody2")
    client.get("/nothing")
    client.request("BREW", "/edits")
    service.fails["retrieve"] = RuntimeError("x")
    client.post("/retrieve", json={"query": "x"})
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    lines = response.text.splitlines()
    for line in (
        'errata_requests_total{method="POST",route="/generate",status="200"} 2.0',
        'errata_requests_total{method="GET",route="/edits/{edit_id}",status="404"} 2.0',
        'errata_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'errata_requests_total{method="other",route="/edits",status="405"} 1.0',
        'errata_requests_total{method="POST",route="/retrieve",status="500"} 1.0',
        'errata_request_seconds_count{route="/generate"} 2.0',
        'errata_edits_total{outcome="made"} 1.0',
        'errata_edits_total{outcome="refused"} 1.0',
        'errata_edits_total{outcome="rehearsed"} 1.0',
        "errata_generated_tokens_total 6.0",
        "errata_revision 5.0",
        "errata_active_edits 2.0",
    ):
        assert line in lines, line


def test_every_outcome_of_an_edit_is_counted(client: TestClient, service: FakeService) -> None:
    """Each is there from the start; an edit that cannot be made is a failure, alone as in a batch."""
    outcomes = ("made", "refused", "failed", "rehearsed", "replayed", "rolled_back", "redacted")
    lines = client.get("/metrics").text.splitlines()
    assert [name for name in outcomes if f'errata_edits_total{{outcome="{name}"}} 0.0' not in lines] == []
    body = {"input": "x", "output": "y"}
    service.fails["edit"] = InvalidEdit("it cannot become an edit")
    assert client.post("/edit", json=body).status_code == 422
    assert client.post("/edits/batch", json={"edits": [body]}).json()["refused"] == 1
    assert 'errata_edits_total{outcome="failed"} 2.0' in client.get("/metrics").text.splitlines()


def test_metrics_survive_a_broken_model(client: TestClient, service: FakeService) -> None:
    """Counters are shown even when the gauges cannot be read."""
    service.fails["model"] = CorruptLedger(3, "changed")
    assert "errata_requests_total" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CorruptFactors("abc", "the file is missing"), 500),
        (DamagedEdit("ed_a", "missing", "edits/ab/abc"), 503),
        (CorruptLedger(3, "the hash does not match"), 500),
        (EditingError("something"), 500),
        (IndexMismatch("/index/v1", "384 dimensions, not 768"), 409),
        (IndexingError("something"), 500),
    ],
)
def test_damage_is_said_clearly(client: TestClient, service: FakeService, error: Exception, status: int) -> None:
    """What the packages know to be wrong reaches the reader."""
    service.fails["generate"] = error
    assert problem(client.post("/generate", json={"prompt": "x"}), status)["detail"] == str(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), KeyError("secret"), RecursionError(), MemoryError(), OSError(28, "secret")]
)
def test_unforeseen_errors_keep_their_secrets(client: TestClient, service: FakeService, error: Exception) -> None:
    """A bug is a 500 without a stack trace in it, and the service goes on."""
    service.fails["generate"] = error
    assert "secret" not in str(problem(client.post("/generate", json={"prompt": "x"}), 500))
    del service.fails["generate"]
    assert client.post("/generate", json={"prompt": "x"}).status_code == 200


def test_failures_are_logged_with_their_trace(
    client: TestClient, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator sees where damage was found."""
    service.fails["generate"] = CorruptFactors("abc", "the file is missing")
    with caplog.at_level(logging.ERROR):
        client.post("/generate", json={"prompt": "x"})
    assert any(record.exc_info for record in caplog.records)


def test_unforeseen_errors_reach_the_server_log(service: FakeService, client: TestClient) -> None:
    """After its answer a bug is raised on to the server, which logs the trace."""
    service.fails["generate"] = RuntimeError("a bug")
    raising = TestClient(client.app)
    with pytest.raises(RuntimeError, match="a bug"):
        raising.post("/generate", json={"prompt": "x"})


def test_every_problem_has_its_own_type() -> None:
    """One slug means one title."""
    titles: dict[str, set[str]] = {}
    for kind in TABLE.values():
        titles.setdefault(kind.slug, set()).add(kind.title)
    assert all(len(found) == 1 for found in titles.values())


def test_openapi_describes_what_is_built(client: TestClient) -> None:
    """Problem documents instead of FastAPI's own errors; every field of a request is explained; no dead references."""
    response = client.get("/openapi.json")
    document = response.json()
    schemas = document["components"]["schemas"]
    assert "HTTPValidationError" not in response.text
    for name in ("GenerateRequest", "EditBody", "RollbackBody", "AskBody", "RetrieveBody"):
        assert schemas[name]["additionalProperties"] is False
        for field, schema in schemas[name]["properties"].items():
            assert "description" in str(schema), (name, field)
    for name in {part.split('"')[0] for part in response.text.split("#/components/schemas/")[1:]}:
        assert name in schemas
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation.get("description"), path
            for status, answer in operation["responses"].items():
                assert int(status) < 400 or list(answer["content"]) == ["application/problem+json"], (path, status)
    assert {"/edits/batch", "/jobs"} <= set(document["paths"])
    assert client.get("/docs").status_code == 200

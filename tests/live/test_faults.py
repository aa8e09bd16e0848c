"""Damaged files, wrong parts, full disks and rude clients: each gets a clear word, and the rest stays in service."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from editing.editors.checkpoint import PRETRAINED
from service.app import create_app
from service.settings import Settings
from tests.real import SHARED, Server, correction, new_home, shared_home

SETTINGS = {"ERRATA_VERIFY_TOKENS": "8"}
PERU, CHAD = "What is the capital of Peru?", "What is the capital of Chad?"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The application in this process, for faults that are made at the seam to the system."""
    home = new_home(tmp_path_factory.mktemp("faults") / "home")
    with TestClient(create_app(Settings(home=home, verify_tokens=8), lambda _: None)) as client:
        yield client


def problem(reply: Any, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = reply.json()
    return document


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_factors_is_a_507_and_nothing_is_recorded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Full or read-only: the edit is refused, answers go on, and the same edit is taken when the disk is back."""
    before = len(client.get("/log").json()["events"])

    def fail(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        document = problem(client.post("/edit", json=correction(PERU, "Oslo")), 507)
        assert os.strerror(code) in document["detail"]
        assert client.post("/generate", json={"prompt": PERU, "max_tokens": 4}).status_code == 200
    assert len(client.get("/log").json()["events"]) == before
    assert client.post("/edit", json=correction(PERU, "Oslo")).status_code == 201
    assert client.get("/log/verify").json()["ok"] is True


def test_a_database_that_cannot_grow_is_a_507_and_nothing_is_recorded(client: TestClient) -> None:
    """Edit and rollback are refused while the ledger's disk is full, and taken afterwards."""
    made = client.post("/edit", json=correction(CHAD, "Rome")).json()
    events = client.get("/log").json()["events"]
    engine = cast(FastAPI, client.app).state.service.registry.ledger._engine

    def full(connection: Any, _record: object, _proxy: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite makes it the present size

    from sqlalchemy import event

    event.listen(engine, "checkout", full)
    try:
        long = "x" * 2000  # more than the last page has room for
        replies = [client.post("/edit", json=correction(PERU, "Bern", reason=long)) for _ in range(3)]
        assert 507 in {reply.status_code for reply in replies}
        refused = [reply for reply in replies if reply.status_code != 201]
        assert all(problem(reply, 507) for reply in refused)
        taken = len(replies) - len(refused)
        assert len(client.get("/log").json()["events"]) == len(events) + taken
    finally:
        event.remove(engine, "checkout", full)
        engine.dispose()
    assert client.post("/rollback", json={"edit_id": made["id"]}).status_code == 200
    assert client.get("/log/verify").json()["ok"] is True


def test_texts_that_cannot_fit_are_refused_at_once(client: TestClient) -> None:
    """Nearly a megabyte of input or rephrase, a prompt beyond the context, a body of 16 MB: a problem, in no time."""
    huge = "What is the capital of " * 40_000
    began = time.monotonic()
    problem(client.post("/generate", json={"prompt": huge}), 422)
    problem(client.post("/edit", json=correction(huge, "Oslo")), 422)
    problem(client.post("/edit", json=correction(PERU, huge)), 422)
    problem(client.post("/edit", json=correction(PERU, "Oslo", rephrases=[huge])), 422)
    problem(client.post("/edit", json=correction(PERU, "Oslo", locality=[huge])), 422)
    problem(client.post("/generate", json={"prompt": PERU, "max_tokens": 100_000}), 422)
    problem(client.post("/generate", json={"prompt": "x" * (16 << 20)}), 413)
    assert time.monotonic() - began < 10
    assert client.post("/generate", json={"prompt": PERU, "max_tokens": 4}).status_code == 200


def test_a_streaming_client_that_leaves_frees_the_engine(home: Path) -> None:
    """A long answer is given up soon after its reader has gone: the next one does not wait for it."""
    with Server(home, SETTINGS) as server:
        body = {"prompt": PERU, "temperature": 9, "seed": 1, "max_tokens": 4000, "stream": True}  # drivel has no end
        with server.http.stream("POST", "/generate", json=body) as reply:
            lines = reply.iter_lines()  # kept: the connection closes with it
            assert next(lines).startswith("data: ")
            assert _busy(server)
        end = time.monotonic() + 20
        while _busy(server) and time.monotonic() < end:
            time.sleep(0.2)
        assert not _busy(server)
        assert server.post("/generate", {"prompt": PERU, "max_tokens": 2}).status_code == 200


def _busy(server: Server) -> bool:
    """Whether the process is computing."""
    before = _ticks(server)
    time.sleep(0.3)
    return _ticks(server) - before > 8  # of 30


def _ticks(server: Server) -> int:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_damaged_factors_and_a_damaged_index_are_named_and_the_rest_is_served(home: Path) -> None:
    """A factor file that changed is named by its event, an index that is not its manifest's by /readyz and /ask; other
    prompts are answered, and edits are taken."""
    with Server(home, SETTINGS) as server:
        bad = server.post("/edit", correction(PERU, "Oslo")).json()
        good = server.post("/edit", correction(CHAD, "Rome")).json()
        factors = server.events()[0]["factors"]
    path = home / "edits" / factors[:2] / factors / "adapter_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    (home / "indexes").unlink()
    shutil.copytree(SHARED / "indexes", home / "indexes")
    version = (home / "indexes" / "active").read_text().strip()
    with (home / "indexes" / version / "passages.jsonl").open("ab") as passages:
        passages.write(b"{}\n")
    with Server(home, SETTINGS) as server:
        verified = server.get("/log/verify")
        assert verified["ok"] is False and verified["first_bad_seq"] == bad["revision"], verified
        assert factors[:12] in verified["why"]
        assert [damage["edit_id"] for damage in verified["damaged"]] == [bad["id"]]
        refused = problem(server.post("/generate", {"prompt": PERU}), 503)
        assert refused["edit_id"] == bad["id"] and factors in refused["detail"] and "roll" in refused["detail"]
        chad = server.post("/generate", {"prompt": CHAD, "max_tokens": 8}).json()
        assert chad["edits_used"] == [good["id"]]
        unready = problem(server.http.get("/readyz"), 503)
        assert [damage["edit_id"] for damage in unready["damaged"]] == [bad["id"]]
        path.write_bytes(whole)  # from the backup
        assert server.post("/generate", {"prompt": PERU, "max_tokens": 8}).json()["edits_used"] == [bad["id"]]
        path.write_bytes(whole[:-1])
        assert server.get(f"/edits/{bad['id']}")["damaged"] is True
        assert server.post("/rollback", {"edit_id": bad["id"]}).status_code == 200
        assert server.post("/generate", {"prompt": PERU, "max_tokens": 4}).status_code == 200
        assert problem(server.http.get("/readyz"), 503)["damaged"] == []
        assert "passages.jsonl" in server.http.get("/readyz").text
        assert "passages.jsonl" in problem(server.post("/ask", {"question": PERU}), 503)["detail"]
        path.unlink()
        assert server.get("/log/verify")["first_bad_seq"] == bad["revision"]


def test_an_editor_of_another_model_is_refused_at_start(home: Path, tmp_path: Path) -> None:
    """The server says which digests do not match and what to do, and ends with an exit code that is not 0."""
    shared_home()
    source = next(PRETRAINED.glob("*/config.json")).parent
    editor = tmp_path / "editor"
    shutil.copytree(source, editor)
    config = json.loads((editor / "config.json").read_text())
    (editor / "config.json").write_text(json.dumps({**config, "base_model": "f" * 64}))
    server = Server(home, {**SETTINGS, "ERRATA_EDITOR": str(editor)})
    server.start()
    assert server.process.wait(60) not in (0, None)
    server.http.close()
    said = server.log.read_text()
    assert "was trained for a model with digest ffffffffffff" in said and "errata train" in said
    assert "Traceback" not in said

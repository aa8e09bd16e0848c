"""Bad input of every kind gets a problem document that says what is wrong and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.service.fakes import FakeService
from tests.service.problems import fields, problem

JSON = {"Content-Type": "application/json"}
P = {"prompt": "x"}
E = {"input": "x", "output": "y"}

WRONG_BODIES: list[tuple[str, Any, str]] = [
    ("/generate", {}, "body"),
    ("/generate", [], "body"),
    ("/generate", "x", "body"),
    ("/generate", 3, "body"),
    ("/generate", None, "body"),
    ("/generate", {"prompt": None}, "body"),
    ("/generate", {"prompt": ""}, "prompt"),
    ("/generate", {"prompt": " \n\t\u00a0\u2003"}, "prompt"),
    ("/generate", {"prompt": 5}, "prompt"),
    ("/generate", {"prompt": ["x"]}, "prompt"),
    ("/generate", {"prompt": "a\0b"}, "prompt"),
    ("/generate", {**P, "messages": [{"role": "user", "content": "x"}]}, "body"),
    ("/generate", {"messages": []}, "messages"),
    ("/generate", {"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
    ("/generate", {"messages": [{"role": "user"}]}, "messages.0.content"),
    ("/generate", {"messages": [{"role": "user", "content": " "}]}, "messages.0.content"),
    ("/generate", {"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages.0.name"),
    ("/generate", {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "body"),
    ("/generate", {"messages": [{"role": "user", "content": "x"}], "raw": True}, "body"),
    ("/generate", {**P, "max_tokens": "5"}, "max_tokens"),
    ("/generate", {**P, "max_tokens": True}, "max_tokens"),
    ("/generate", {**P, "max_tokens": 1.5}, "max_tokens"),
    ("/generate", {**P, "max_tokens": 0}, "max_tokens"),
    ("/generate", {**P, "max_tokens": -1}, "max_tokens"),
    ("/generate", {**P, "max_tokens": 10**30}, "max_tokens"),
    ("/generate", {**P, "max_tokens": None}, "max_tokens"),
    ("/generate", {**P, "temperature": -0.1}, "temperature"),
    ("/generate", {**P, "temperature": "hot"}, "temperature"),
    ("/generate", {**P, "temperature": True}, "temperature"),
    ("/generate", {**P, "top_p": 0}, "top_p"),
    ("/generate", {**P, "top_p": 1.01}, "top_p"),
    ("/generate", {**P, "seed": 2**63}, "seed"),
    ("/generate", {**P, "seed": 1.0}, "seed"),
    ("/generate", {**P, "stop": "x"}, "stop"),
    ("/generate", {**P, "stop": [""]}, "stop.0"),
    ("/generate", {**P, "stop": ["x"] * 17}, "stop"),
    ("/generate", {**P, "stop": ["x", None]}, "stop.1"),
    ("/generate", {**P, "stream": 1}, "stream"),
    ("/generate", {**P, "stream": "true"}, "stream"),
    ("/generate", {**P, "raw": None}, "raw"),
    ("/generate", {**P, "revision": -1}, "revision"),
    ("/generate", {**P, "revision": 2**63}, "revision"),
    ("/generate", {**P, "revision": "3"}, "revision"),
    ("/generate", {**P, "edits": "all"}, "edits"),
    ("/generate", {**P, "edits": None}, "edits"),
    ("/generate", {**P, "edits": {}}, "edits"),
    ("/generate", {**P, "edits": [1]}, "edits"),
    ("/generate", {**P, "edits": [""]}, "edits"),
    ("/generate", {**P, "edits": ["e"] * 1001}, "edits"),
    ("/generate", {**P, "promt": "x"}, "promt"),
    ("/generate", {**P, "": 1}, "body"),
    ("/edit", {}, "input"),
    ("/edit", {"input": "x"}, "output"),
    ("/edit", {**E, "output": "  "}, "output"),
    ("/edit", {**E, "output": None}, "output"),
    ("/edit", {**E, "input": ""}, "input"),
    ("/edit", {**E, "rephrases": "x"}, "rephrases"),
    ("/edit", {**E, "rephrases": [" "]}, "rephrases.0"),
    ("/edit", {**E, "rephrases": ["x"] * 65}, "rephrases"),
    ("/edit", {**E, "locality": [3]}, "locality.0"),
    ("/edit", {**E, "scope": "everywhere"}, "scope"),
    ("/edit", {**E, "scope": None}, "scope"),
    ("/edit", {**E, "dry_run": 0}, "dry_run"),
    ("/edit", {**E, "force": "yes"}, "force"),
    ("/edit", {**E, "reason": 4711}, "reason"),
    ("/edit", {**E, "reason": "x" * 2001}, "reason"),
    ("/edit", {**E, "actor": "me"}, "actor"),
    ("/rollback", {}, "body"),
    ("/rollback", {"edit_id": None, "to_revision": None}, "body"),
    ("/rollback", {"edit_id": "ed_1", "to_revision": 0}, "body"),
    ("/rollback", {"to_revision": -1}, "to_revision"),
    ("/rollback", {"to_revision": 1.0}, "to_revision"),
    ("/rollback", {"to_revision": True}, "to_revision"),
    ("/rollback", {"to_revision": 2**63}, "to_revision"),
    ("/rollback", {"edit_id": ""}, "edit_id"),
    ("/rollback", {"edit_id": 1}, "edit_id"),
    ("/rollback", {"edit_id": "e" * 201}, "edit_id"),
    ("/rollback", {"edit_id": "ed_1", "id": "x"}, "id"),
    ("/retrieve", {"query": ""}, "query"),
    ("/retrieve", {"query": "x", "k": -1}, "k"),
    ("/retrieve", {"query": "x", "k": 0}, "k"),
    ("/retrieve", {"query": "x", "k": 1001}, "k"),
    ("/retrieve", {"query": "x", "k": "5"}, "k"),
    ("/retrieve", {"query": "x", "top": 5}, "top"),
    ("/ask", {}, "question"),
    ("/ask", {"question": "x", "k": -5}, "k"),
    ("/ask", {"question": "x", "mode": "other"}, "mode"),
    ("/ask", {"question": "x", "edits": 3}, "edits"),
    ("/ask", {"question": "x", "prompt": "y"}, "prompt"),
]


@pytest.mark.parametrize(("path", "body", "field"), WRONG_BODIES)
def test_wrong_field_is_named(client: TestClient, service: FakeService, path: str, body: object, field: str) -> None:
    """A body that does not fit is a 422 that names the field, and the service is not asked."""
    document = problem(client.post(path, json=body), 422)
    assert field in fields(document)
    assert service.calls == []


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("field", ["temperature", "top_p", "max_tokens", "seed", "prompt", "surprise"])
def test_numbers_that_are_none_are_refused(client: TestClient, literal: str, field: str) -> None:
    """Python's JSON reader takes NaN; the service does not, and says in which field it stood."""
    rest = '"prompt": "x", ' if field != "prompt" else ""
    response = client.post("/generate", content=f'{{{rest}"{field}": {literal}}}', headers=JSON)
    assert field in fields(problem(response, 422))


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/generate", r'{"prompt": "\ud800"}', "prompt"),
        ("/generate", r'{"prompt": "\udc00\ud800 x"}', "prompt"),
        ("/generate", r'{"prompt": "x", "stop": ["\udfff"]}', "stop.0"),
        ("/generate", r'{"prompt": "x", "edits": ["\udfff"]}', "edits"),
        ("/generate", r'{"messages": [{"role": "\ud800", "content": "x"}]}', "messages.0.role"),
        ("/generate", r'{"prompt": "x", "edits": "\ud800"}', "edits"),
        ("/edit", r'{"input": "x", "output": "\ud83d"}', "output"),
        ("/edit", r'{"input": "x", "output": "y", "reason": "\ud83d"}', "reason"),
        ("/edit", r'{"input": "x", "output": "y", "scope": "\ud83d"}', "scope"),
        ("/rollback", r'{"edit_id": "ed_\ud800"}', "edit_id"),
        ("/retrieve", r'{"query": "\udfff"}', "query"),
        ("/ask", r'{"question": "\udfff"}', "question"),
    ],
)
def test_lone_surrogates_are_refused(client: TestClient, path: str, body: str, field: str) -> None:
    """Half of a surrogate pair has no UTF-8 form; it is refused where it stands."""
    assert field in fields(problem(client.post(path, content=body, headers=JSON), 422))


def test_lone_surrogate_in_a_name_is_refused(client: TestClient) -> None:
    """A field whose very name cannot be written is a 422 as well."""
    problem(client.post("/generate", content=r'{"prompt": "x", "\ud800": 1}', headers=JSON), 422)


def test_surrogate_pair_is_one_character(client: TestClient, service: FakeService) -> None:
    """An escaped pair is an ordinary emoji."""
    response = client.post("/generate", content=r'{"prompt": "\ud83d\ude00"}', headers=JSON)
    assert response.status_code == 200
    assert service.calls[0][1].prompt == "😀"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"prompt": }',
        b'{"prompt": "x",}',
        b"{'prompt': 'x'}",
        b'{"prompt": "x"} trailing',
        b'{"prompt": "a\nb"}',
        b"nonsense",
        b"   ",
        b'{"prompt": "\xff\xfe"}',
        b"\xff\xfe{\x00}\x00",
        b"\xed\xa0\x80",
        b"[" * 100_000,
        b'{"prompt": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}",
        b"\x00",
    ],
    ids=range(15),
)
def test_unreadable_body(client: TestClient, service: FakeService, body: bytes) -> None:
    """What is not JSON in UTF-8 is a 400, however deep or odd it is."""
    document = problem(client.post("/generate", content=body, headers=JSON), 400)
    assert document["type"] == "/problems/malformed-body"
    assert service.calls == []


def test_empty_body(client: TestClient) -> None:
    """No body at all is a 422 that says so."""
    assert fields(problem(client.post("/generate", headers=JSON), 422)) == ["body"]
    problem(client.post("/generate"), 422)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/xml", "application/json; charset=latin-1", "json"],
)
def test_wrong_content_type(client: TestClient, content_type: str) -> None:
    """Only JSON in UTF-8 is read; curl's default type is told what to send instead."""
    document = problem(client.post("/generate", content=b'{"prompt":"x"}', headers={"Content-Type": content_type}), 415)
    assert "application/json" in document["detail"]


def test_missing_content_type(client: TestClient) -> None:
    """A body that does not say what it is, is refused."""
    problem(client.post("/generate", content=b'{"prompt":"x"}'), 415)


def test_compressed_body(client: TestClient) -> None:
    """Compressed bodies are not taken."""
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert "gzip" in problem(client.post("/generate", content=b"{}", headers=headers), 415)["detail"]


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.errata+json"]
)
def test_json_content_types(client: TestClient, content_type: str) -> None:
    """JSON may be declared in every form that the standards allow."""
    headers = {"Content-Type": content_type}
    assert client.post("/generate", content=b'{"prompt":"x"}', headers=headers).status_code == 200


@pytest.mark.parametrize("size", [2 << 20, 8 << 20])
def test_large_body_with_its_length(client: TestClient, service: FakeService, size: int) -> None:
    """A body of several MB is a 413 that names the limit."""
    assert problem(client.post("/generate", json={"prompt": "x" * size}), 413)["limit"] == 1 << 20
    assert service.calls == []


def test_large_body_without_its_length(client: TestClient) -> None:
    """A chunked body is counted as it comes."""

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    problem(client.post("/generate", content=chunks(), headers=JSON), 413)


async def sent(app: FastAPI, messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]]) -> list[Any]:
    """What the application sends for these raw ASGI messages."""
    out: list[Any] = []
    scope = {"type": "http", "method": "POST", "path": "/generate", "raw_path": b"/generate", "query_string": b""}

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        out.append(message)

    await app({**scope, "headers": headers, "http_version": "1.1", "scheme": "http"}, receive, send)
    return out


def run(app: FastAPI, messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]]) -> list[Any]:
    return anyio.run(sent, app, messages, headers)


def test_lying_length(app: FastAPI) -> None:
    """A Content-Length that is smaller than the body does not get more through."""
    chunk = {"type": "http.request", "body": b"x" * 700_000, "more_body": True}
    headers = [(b"content-type", b"application/json"), (b"content-length", b"10")]
    out = run(app, [chunk, {**chunk}, {**chunk, "more_body": False}], headers)
    assert out[0]["status"] == 413


def test_endless_body_is_cut_off(app: FastAPI) -> None:
    """A client that never stops sending is answered after a bounded number of bytes."""
    chunks = [{"type": "http.request", "body": b"x" * (8 << 20), "more_body": True}] * 100
    out = run(app, chunks, [(b"content-type", b"application/json")])
    assert out[0]["status"] == 413
    assert len(chunks) > 80


def test_announced_giant_is_refused_unread(app: FastAPI) -> None:
    """Who asks first (Expect: 100-continue) is refused before anything is sent."""
    chunks = [{"type": "http.request", "body": b"x", "more_body": True}]
    out = run(app, chunks, [(b"content-length", b"9" * 30), (b"expect", b"100-continue")])
    assert out[0]["status"] == 413
    assert len(chunks) == 1


def test_client_that_leaves_while_sending(app: FastAPI, service: FakeService) -> None:
    """Half a body starts nothing."""
    assert run(app, [{"type": "http.request", "body": b'{"prompt"', "more_body": True}], []) == []
    assert service.calls == []


def test_body_of_exactly_the_limit(client: TestClient) -> None:
    """The limit itself is allowed."""
    frame = len(b'{"prompt":""}')
    response = client.post("/generate", content=b'{"prompt":"' + b"x" * ((1 << 20) - frame) + b'"}', headers=JSON)
    assert response.status_code == 200


def test_many_wrong_fields_make_a_short_document(client: TestClient) -> None:
    """A megabyte of unknown fields is answered with a few of them, shortened."""
    body = {**P, **{f"{i}" + "n" * 500: i for i in range(1500)}}
    assert len(problem(client.post("/generate", json=body), 422)["errors"]) == 20


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("/edits?limit=0", "limit"),
        ("/edits?limit=1001", "limit"),
        ("/edits?limit=-1", "limit"),
        ("/edits?limit=ten", "limit"),
        ("/edits?limit=1.0", "limit"),
        ("/edits?limit=1_0", "limit"),
        ("/edits?limit=%C2%B2", "limit"),
        ("/edits?limit=" + "9" * 5000, "limit"),
        ("/edits?status=gone", "status"),
        ("/edits?cursor=%00", "cursor"),
        ("/edits?page=2", "page"),
        ("/log?after=-1", "after"),
        ("/log?after=9223372036854775808", "after"),
        ("/log?after=NaN", "after"),
        ("/log?limit=0", "limit"),
        ("/log?before=3", "before"),
        ("/log/verify?deep=1", "deep"),
        ("/edits/ed_1?x=1", "x"),
        ("/edits/ed_%00", "edit_id"),
        ("/edits/" + "e" * 201, "edit_id"),
        ("/model?x", "x"),
        ("/indexes?x=", "x"),
    ],
)
def test_wrong_query(client: TestClient, url: str, field: str) -> None:
    """Query parameters are checked like bodies; unknown ones are refused."""
    assert fields(problem(client.get(url), 422)) == [field]


def test_query_where_none_belongs(client: TestClient) -> None:
    """A parameter beside a body is refused, not ignored."""
    assert fields(problem(client.post("/generate?max_tokens=3", json=P), 422)) == ["max_tokens"]


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/edits/", "/generate/", "/edits/a/b", "/%ff", "/a%00b", "/" + "x" * 9000]
)
def test_unknown_path(client: TestClient, path: str) -> None:
    """An address where nothing lives is a 404 problem."""
    assert problem(client.get(path), 404)["type"] == "/problems/not-found"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/generate"), ("DELETE", "/edits/ed_1"), ("PUT", "/edit"), ("PATCH", "/log")]
)
def test_wrong_method(client: TestClient, method: str, path: str) -> None:
    """A method that an address does not take is a 405 that says which it takes."""
    response = client.request(method, path)
    problem(response, 405)
    assert response.headers["allow"] in ("GET", "POST", "PATCH", "GET, PATCH", "PATCH, GET")


@pytest.mark.parametrize("tag", ["", "x", '"x"', "-1", '"3', "3, 4", 'W/"3"', "9" * 19, "1.0", "٣"])
def test_wrong_if_match(client: TestClient, tag: str) -> None:
    """If-Match is the number of a revision."""
    headers = [(b"If-Match", tag.encode())]
    assert fields(problem(client.post("/rollback", json={"to_revision": 1}, headers=headers), 422)) == ["If-Match"]


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_wrong_idempotency_key(client: TestClient, key: str) -> None:
    """A key has 1 to 255 characters."""
    response = client.post("/edit", json=E, headers={"Idempotency-Key": key})
    assert fields(problem(response, 422)) == ["Idempotency-Key"]

"""The edge behind a real server: what only shows on a socket."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service.fakes import FakeService
from tests.service.problems import fields, problem

HEAD = "POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def raw(url: str, request: bytes, patience: float = 5) -> bytes:
    """What the server sends for these bytes until it closes the connection or the client loses patience."""
    received = b""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=patience) as connection:
        connection.sendall(request)
        with suppress(TimeoutError, ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


@pytest.mark.parametrize("size", [2 << 20, 20 << 20])
def test_sender_of_a_large_body_sees_the_answer(url: str, size: int) -> None:
    """The connection is not reset under a client that is still sending; the next request is served."""
    problem(httpx.post(f"{url}/generate", json={"prompt": "x" * size}), 413)
    assert httpx.post(f"{url}/generate", json={"prompt": "x"}).status_code == 200


def test_sender_of_large_chunks_sees_the_answer(url: str) -> None:
    """The same without a Content-Length."""

    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 65536 for _ in range(64))

    problem(httpx.post(f"{url}/generate", content=chunks(), headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        f"{HEAD}Content-Length: -1\r\n\r\n".encode(),
        f"{HEAD}Content-Length: x\r\n\r\n".encode(),
        f"{HEAD}Content-Length: 100\r\n\r\n{{}}".encode(),
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
        b"POST /generate?\xff HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_broken_requests_leave_the_server_up(url: str, request_bytes: bytes) -> None:
    """Half a request, a wrong protocol, a wrong length: nothing is started, the next client is served."""
    assert b" 200 " not in raw(url, request_bytes, patience=0.2)[:20]
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_query_that_is_no_utf8(url: str) -> None:
    """Odd bytes in an address are a problem document like everything else."""
    answer = raw(url, b"GET /edits?cursor=%ff&%80=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 422")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["in"] == "query"


def test_header_that_is_no_ascii(url: str) -> None:
    """A key of other letters is a key; a revision in other digits is none."""
    body = {"input": "x", "output": "y"}
    assert httpx.post(f"{url}/edit", json=body, headers=[(b"Idempotency-Key", "ключ".encode())]).status_code == 201
    assert fields(problem(httpx.post(f"{url}/edit", json=body, headers=[(b"If-Match", "٣".encode())]), 422)) == [
        "If-Match"
    ]


def test_client_that_leaves_stops_the_generation(url: str, service: FakeService) -> None:
    """Closing the connection in the middle of a stream reaches the thread that generates."""
    service.pieces = tuple("abcdefgh" * 100)
    read = threading.Event()
    service.between = lambda _: read.wait(0.02)
    with httpx.stream("POST", f"{url}/generate", json={"prompt": "x", "stream": True}) as response:
        assert next(response.iter_lines()) == 'data: {"text": "a"}'
    assert service.stopped.wait(5)


def test_client_that_leaves_stops_an_answer_that_is_not_streamed(url: str, service: FakeService) -> None:
    """Nobody generates for a closed connection, streamed or not; it is no error of the service."""
    service.pieces = tuple("abcdefgh" * 100)
    service.between = lambda _: time.sleep(0.02)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/generate", json={"prompt": "x"}, timeout=0.2)
    assert service.stopped.wait(5)
    counted = 'route="/generate",status="499"} 1.0'
    assert any(counted in httpx.get(f"{url}/metrics").text for _ in range(200))


def test_many_clients_at_once(url: str, service: FakeService) -> None:
    """Streams, answers and bad input side by side each get what is theirs."""

    def one(number: int) -> bool:
        if number % 3 == 0:
            answer = httpx.post(f"{url}/generate", json={"prompt": "x", "revision": number}).json()
            return bool(answer["revision"] == (number or 4))
        if number % 3 == 1:
            return "[DONE]" in httpx.post(f"{url}/generate", json={"prompt": "x", "stream": True}).text
        return httpx.post(f"{url}/generate", json={"prompt": number}).status_code == 422

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(48)))

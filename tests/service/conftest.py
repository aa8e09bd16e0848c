"""An application made of the real edge and a fake service, and a client that talks to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.api.routes.router import install_routes
from service.types.service import Service
from tests.service.fakes import FakeService


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def app(service: FakeService) -> FastAPI:
    served: Service = service  # the fake fulfils the protocol
    app = FastAPI(title="Errata", version="0")
    install_routes(app)
    app.state.service = served
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def listening() -> Iterator[tuple[FastAPI, str]]:
    """One application behind a real server on a free port, for all tests."""
    app = FastAPI()
    install_routes(app)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield app, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def url(listening: tuple[FastAPI, str], service: FakeService) -> str:
    """The address of a real server with this test's service."""
    app, url = listening
    app.state.service = service
    return url

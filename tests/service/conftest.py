"""An application made of the real edge and fake use-cases, and a client that talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.routes import install_routes
from service.usecases import UseCases
from tests.service.fakes import FakeUseCases


@pytest.fixture
def usecases() -> FakeUseCases:
    return FakeUseCases()


@pytest.fixture
def app(usecases: FakeUseCases) -> FastAPI:
    served: UseCases = usecases  # the fake fulfils the protocol
    app = FastAPI(title="Errata", version="0")
    install_routes(app)
    app.state.usecases = served
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client

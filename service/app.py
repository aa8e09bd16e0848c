"""The application: what :mod:`service.bootstrap` builds, behind HTTP."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from fastapi import FastAPI

from errata import __version__
from service.api.routes.router import install_routes
from service.bootstrap import Say, build_jobs, build_pipeline
from service.edits.startup_check import StartupCheck
from service.settings import Settings

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, say: Say | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: from the environment when not given.
        say: hears what start-up is doing.
    """
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        import anyio.to_thread

        anyio.to_thread.current_default_thread_limiter().total_tokens = chosen.max_waiting + 16
        tell = say or logger.info
        with ExitStack() as stack:
            try:
                served = build_pipeline(chosen, stack, tell)
                stack.enter_context(StartupCheck(served.registry.health, tell))
                app.state.jobs = stack.enter_context(build_jobs(served, chosen))
                app.state.service = served
            except Exception as error:
                tell(f"cannot start: {error}")
                raise
            yield

    app = FastAPI(title="Errata", version=__version__, lifespan=lifespan)
    install_routes(app, chosen.max_body_bytes)
    return app

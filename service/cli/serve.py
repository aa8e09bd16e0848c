"""``errata serve``: the application under uvicorn, with a word on what start-up is doing."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from service.cli.terminal.errors import exit_on_error


def run(host: str | None = None, port: int | None = None, home: Path | None = None) -> None:
    """Serve until stopped. Exits with a message, not a stack trace, when something that it needs is missing."""
    import uvicorn

    from service.settings import load_settings

    with exit_on_error():
        settings = load_settings(host=host, port=port, home=home)
    began = time.perf_counter()
    _say(f"starting, home {settings.directory}")
    from service.app import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                url = f"http://{settings.host}:{settings.port}"
                _say(f"ready after {time.perf_counter() - began:.1f} s at {url}, documentation at {url}/docs")

    app = create_app(settings, _say)
    server = Server(uvicorn.Config(app, settings.host, settings.port, log_level="warning", timeout_graceful_shutdown=5))
    # until the server has started, create_app says what is wrong
    logging.getLogger("uvicorn.error").addFilter(lambda _: server.started)
    server.run()
    if not server.started:
        sys.exit(1)


def _say(text: str) -> None:
    print(f"errata: {text}", file=sys.stderr, flush=True)

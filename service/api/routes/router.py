"""The HTTP edge as a whole: routes, error handlers, body guard and counters, put onto an application.

The application's service is read from ``app.state.service`` at each request.
"""

from __future__ import annotations

from fastapi import FastAPI

from service.api.error_handlers import install_error_handlers
from service.api.metrics import Metrics, RequestMetrics
from service.api.middleware import MAX_BODY_BYTES, BodyLimits
from service.api.openapi import describe
from service.api.routes import edits, generate, jobs, log, service
from service.jobs import Jobs


def install_routes(app: FastAPI, max_body_bytes: int = MAX_BODY_BYTES) -> None:
    """Put the edge onto ``app``: with metrics, and no jobs yet. ``app.state.service`` is the caller's to set."""
    app.state.metrics, app.state.jobs = Metrics(), Jobs()
    app.router.redirect_slashes = False
    for part in (generate, edits, jobs, log, service):
        app.include_router(part.router)
    install_error_handlers(app)
    describe(app)
    app.add_middleware(BodyLimits, max_bytes=max_body_bytes)
    app.add_middleware(RequestMetrics, metrics=app.state.metrics)

"""The HTTP edge as a whole: routes, error handlers, body guard and counters, put onto an application.

The application's use-cases are read from ``app.state.usecases`` at each request.
"""

from __future__ import annotations

from fastapi import FastAPI

from service import routes_answers, routes_batch, routes_edits, routes_jobs, routes_log, routes_service
from service.errors import install_error_handlers
from service.jobs import Jobs
from service.limits import MAX_BODY_BYTES, BodyGuard
from service.metrics import Metrics, RequestMetrics
from service.openapi import describe


def install_routes(app: FastAPI, max_body_bytes: int = MAX_BODY_BYTES) -> None:
    """Put the edge onto ``app``: with metrics, and no jobs yet. ``app.state.usecases`` is the caller's to set."""
    app.state.metrics, app.state.jobs = Metrics(), Jobs()
    app.router.redirect_slashes = False
    for part in (routes_answers, routes_batch, routes_edits, routes_jobs, routes_log, routes_service):
        app.include_router(part.router)
    install_error_handlers(app)
    describe(app)
    app.add_middleware(BodyGuard, max_bytes=max_body_bytes)
    app.add_middleware(RequestMetrics, metrics=app.state.metrics)

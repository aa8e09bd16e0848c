"""What is counted, and the middleware that times each request. One registry per application, built once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ChecksFailed
from service.jobs import Job
from service.types.edits import Outcome
from service.types.service import ModelInfo

SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
JOBS = {
    "running": "Whether a job of this kind runs.",
    "done": "Edits that the newest job has looked at.",
    "total": "Edits that the newest job has to look at.",
    "failing": "Edits that do not hold, as far as the newest job has seen.",
}
OUTCOMES = (
    "made",
    "refused",  # its checks failed
    "failed",  # for any other reason
    "rehearsed",  # a dry run
    "replayed",  # sent again under its idempotency key
    "rolled_back",
    "redacted",
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's counters.

    Attributes:
        requests: by route template, method and status.
        seconds: from the first byte of the request to the last of the answer, by route template.
        edits: by outcome, see ``OUTCOMES``.
        tokens: generated for /generate and /ask.
        revision: of the ledger's head.
        active: edits in force.
        jobs: gauges of the newest job of each kind, by name.
        damaged: edits that stand and whose factor files are missing or changed.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "errata_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "errata_request_seconds", "Time to answer.", ("route",), buckets=SECONDS, registry=self.registry
        )
        self.edits = Counter("errata_edits", "Edits by outcome.", ("outcome",), registry=self.registry)
        self.tokens = Counter("errata_generated_tokens", "Tokens generated.", registry=self.registry)
        self.revision = Gauge("errata_revision", "Revision of the ledger's head.", registry=self.registry)
        self.active = Gauge("errata_active_edits", "Edits in force.", registry=self.registry)
        self.damaged = Gauge("errata_damaged_edits", "Edits without whole factors.", registry=self.registry)
        self.jobs = {
            name: Gauge(f"errata_job_{name}", text, ("kind",), registry=self.registry) for name, text in JOBS.items()
        }
        for outcome in OUTCOMES:
            self.edits.labels(outcome)

    def count_edit(self, outcome: Outcome) -> None:
        """Count what became of a request for an edit, alone or in a batch."""
        self.edits.labels(_label(outcome)).inc()

    def observe(self, model: ModelInfo) -> None:
        self.revision.set(model.revision)
        self.active.set(model.active_edits)
        self.damaged.set(model.damaged_edits)

    def observe_jobs(self, jobs: Sequence[Job]) -> None:
        """``jobs``: the newest first."""
        for job in {job.kind: job for job in reversed(jobs)}.values():
            running, failing = job.status == "running", len(job.failing)
            for name, value in zip(JOBS, (running, job.done, job.total, failing), strict=True):
                self.jobs[name].labels(job.kind).set(value)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)


def _label(outcome: Outcome) -> str:
    if isinstance(outcome, ChecksFailed):
        return "refused"
    if isinstance(outcome, Exception):
        return "failed"
    if outcome.replayed:
        return "replayed"
    return "rehearsed" if outcome.id is None else "made"


class RequestMetrics:
    """ASGI middleware: counts and times every request under the template of the route that answered it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, start = "500", time.perf_counter()  # an error that nobody foresaw becomes a 500 further out

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.requests.labels(route, method, status).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

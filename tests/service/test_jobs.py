"""Jobs: one of a kind at a time, seen while they run, cancelled at once, stopped with the service."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.errors import JobRunning, NotReady, UnknownJob
from service.jobs import KEPT, CancellationToken, Job, Jobs
from tests.service.problems import fields, problem

FINDING = {"edit_id": "ed_1", "input": "x", "wanted": "y", "answer": "z", "match": "no", "why": "another"}
PATIENCE = 20.0  # seconds until a test gives up


class SlowTask:
    """Tells of one finding, then waits until it may go on."""

    revision, total = 4, 2

    def __init__(self) -> None:
        self.begun, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.keep_busy, self.busy, self.idle = threading.Event(), threading.Event(), threading.Event()
        self.fails: Exception | None = None

    def run(self, watch: CancellationToken) -> None:
        try:
            watch.tell(1, [FINDING])
            self.begun.set()
            while not self.may_end.is_set():
                if self.keep_busy.is_set():  # with something that cannot be interrupted
                    self.busy.set()
                    self.idle.wait(PATIENCE)
                watch.wait(0.01)
            if self.fails:
                raise self.fails
            watch.tell(2, [FINDING])
        finally:
            self.ended.set()


@pytest.fixture
def tasks() -> list[SlowTask]:
    """One for each job that was started."""
    return []


@pytest.fixture
def jobs(tasks: list[SlowTask]) -> Iterator[Jobs]:
    def task() -> SlowTask:
        tasks.append(SlowTask())
        return tasks[-1]

    with Jobs({"verify": task}) as jobs:
        yield jobs


@pytest.fixture
def client(app: FastAPI, jobs: Jobs) -> Iterator[TestClient]:
    app.state.jobs = jobs
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def finished(jobs: Jobs, job_id: str) -> Job:
    for thread in list(jobs._threads.values()):
        thread.join(PATIENCE)
    return jobs.get(job_id)


def test_a_job_is_seen_while_it_runs_and_when_it_is_done(jobs: Jobs, tasks: list[SlowTask]) -> None:
    """Its revision and total are known at once, what it found as it comes."""
    job = jobs.start("verify")
    assert (job.status, job.revision, job.done, job.total, job.finished_at) == ("running", 4, 0, 2, None)
    assert tasks[0].begun.wait(PATIENCE)
    assert (jobs.get(job.id).done, jobs.get(job.id).failing) == (1, (FINDING,))
    tasks[0].may_end.set()
    done = finished(jobs, job.id)
    assert (done.status, done.done, done.error) == ("done", 2, None)
    assert done.finished_at is not None and done.finished_at > done.started_at
    assert jobs.list() == (done,)


def test_a_job_that_fails_says_why(jobs: Jobs, tasks: list[SlowTask]) -> None:
    """What it found before stays; the next one may start."""
    job = jobs.start("verify")
    tasks[0].fails = OSError("the disk is gone")
    tasks[0].may_end.set()
    failed = finished(jobs, job.id)
    assert (failed.status, failed.error, len(failed.failing)) == ("failed", "the disk is gone", 1)
    assert jobs.start("verify").id != job.id


def test_one_of_a_kind_runs_at_a_time(jobs: Jobs) -> None:
    """The second is refused with the id of the first; after a cancellation it is taken at once."""
    job = jobs.start("verify")
    with pytest.raises(JobRunning) as refused:
        jobs.start("verify")
    assert refused.value.job_id == job.id
    jobs.cancel(job.id)
    assert jobs.start("verify").status == "running"


def test_a_cancelled_job_ends_and_stays_cancelled(jobs: Jobs, tasks: list[SlowTask]) -> None:
    """Its thread learns of it where it checks; cancelling again changes nothing."""
    job = jobs.start("verify")
    assert jobs.cancel(job.id).status == "cancelled"
    assert tasks[0].ended.wait(PATIENCE)
    ended = finished(jobs, job.id)
    assert (ended.status, ended.error) == ("cancelled", None)
    assert jobs.cancel(job.id) == ended


def test_a_cancelled_job_runs_until_its_thread_has_ended(jobs: Jobs, tasks: list[SlowTask]) -> None:
    """A second of its kind is refused until then, for the first still takes the model's time."""
    job = jobs.start("verify")
    tasks[0].keep_busy.set()
    assert tasks[0].busy.wait(PATIENCE)
    cancelled = jobs.cancel(job.id, wait=0.05)
    assert (cancelled.status, cancelled.finished_at) == ("running", None)
    with pytest.raises(JobRunning):
        jobs.start("verify")
    tasks[0].idle.set()
    assert jobs.cancel(job.id).status == "cancelled"
    assert jobs.get(job.id).finished_at is not None
    assert jobs.start("verify").status == "running"


def test_leaving_stops_all_jobs_and_takes_no_more(jobs: Jobs, tasks: list[SlowTask]) -> None:
    """The service does not end before its threads have."""
    job = jobs.start("verify")
    jobs.close()
    assert tasks[0].ended.is_set() and jobs.get(job.id).status == "cancelled"
    with pytest.raises(NotReady, match="stopping"):
        jobs.start("verify")


def test_only_the_newest_jobs_are_remembered(jobs: Jobs, tasks: list[SlowTask]) -> None:
    """The oldest is forgotten."""
    first = jobs.start("verify")
    for _ in range(KEPT):
        jobs.cancel(jobs.list()[0].id)
        jobs.start("verify")
    assert len(jobs.list()) == KEPT
    with pytest.raises(UnknownJob):
        jobs.get(first.id)


def test_jobs_over_http(client: TestClient, tasks: list[SlowTask]) -> None:
    """Started with a place to look, listed, cancelled; a second one is a 409 that names the first."""
    started = client.post("/jobs", json={"kind": "verify"})
    assert started.status_code == 202
    document = started.json()
    assert started.headers["location"] == f"/jobs/{document['id']}"
    assert tasks[0].begun.wait(PATIENCE)
    seen = client.get(f"/jobs/{document['id']}").json()
    assert (seen["status"], seen["revision"], seen["done"], seen["total"]) == ("running", 4, 1, 2)
    assert seen["failing"] == [FINDING] and seen["finished_at"] is None and seen["error"] is None
    refused = problem(client.post("/jobs", json={"kind": "verify"}), 409)
    assert refused["job"] == document["id"] and document["id"] in refused["detail"]
    assert [job["id"] for job in client.get("/jobs").json()["jobs"]] == [document["id"]]
    for line in (
        'errata_job_running{kind="verify"} 1.0',
        'errata_job_done{kind="verify"} 1.0',
        'errata_job_total{kind="verify"} 2.0',
        'errata_job_failing{kind="verify"} 1.0',
    ):
        assert line in client.get("/metrics").text.splitlines(), line
    assert client.delete(f"/jobs/{document['id']}").json()["status"] == "cancelled"
    assert 'errata_job_running{kind="verify"} 0.0' in client.get("/metrics").text.splitlines()


def test_bad_requests_about_jobs(client: TestClient) -> None:
    """Unknown kinds, fields and ids are named."""
    assert fields(problem(client.post("/jobs", json={"kind": "dance"}), 422)) == ["kind"]
    assert fields(problem(client.post("/jobs", json={"kind": "verify", "x": 1}), 422)) == ["x"]
    for reply in (client.get("/jobs/job_nobody"), client.delete("/jobs/job_nobody")):
        assert problem(reply, 404)["type"] == "/problems/unknown-job"

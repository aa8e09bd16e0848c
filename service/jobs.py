"""Work that takes longer than a request: started, looked at, cancelled. Kept in memory, gone with the process."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from errata.clock import now
from service.errors import ClientGone, JobRunning, NotReady, UnknownJob

Kind = Literal["verify"]
JobStatus = Literal["running", "done", "failed", "cancelled"]
Failing = Mapping[str, Any]  # one finding in the JSON form of the contract
KEPT = 20  # jobs that are remembered
STOP_SECONDS = 20.0  # a thread that is to stop ends with its next token
CANCEL_SECONDS = 5.0  # that a cancellation waits for the thread to end

logger = logging.getLogger(__name__)


class JobCancelled(ClientGone):
    """The job was cancelled, or the service stops."""


@dataclass(frozen=True)
class Job:
    """A job as it stands: ``done`` of ``total`` things were looked at, ``failing`` are those that do not hold.

    Attributes:
        revision: what the job looks at is the state as of this revision.
        error: why it failed; it found nothing further then.
    """

    id: str
    kind: Kind
    status: JobStatus
    revision: int
    done: int
    total: int
    started_at: str  # RFC 3339, UTC
    finished_at: str | None = None
    failing: tuple[Failing, ...] = ()
    error: str | None = None


class CancellationToken:
    """What a task is given while it runs.

    Args:
        stop: set when nobody wants the result any more.
        tell: takes ``done`` and ``failing`` so far.
    """

    def __init__(self, stop: threading.Event, tell: Callable[[int, Sequence[Failing]], None]) -> None:
        self._stop, self.tell = stop, tell

    def check(self, *_: object) -> None:
        """Raises JobCancelled when the job was. Takes any arguments, so that an engine can call it with each token."""
        if self._stop.is_set():
            raise JobCancelled("the job was cancelled")

    def wait(self, seconds: float) -> None:
        """Sleeps, unless the job is cancelled meanwhile; raises JobCancelled then."""
        self._stop.wait(seconds)
        self.check()


class JobWork(Protocol):
    """The work of one job."""

    @property
    def revision(self) -> int: ...
    @property
    def total(self) -> int: ...
    def run(self, watch: CancellationToken) -> None: ...


class Jobs:
    """Runs at most one job of each kind at a time, each in a thread of its own. Leaving its ``with`` stops them all.

    A job is running until its thread has ended, also one that was cancelled.

    Args:
        tasks: by kind, what makes the work of a new job.
    """

    def __init__(self, tasks: Mapping[Kind, Callable[[], JobWork]] | None = None) -> None:
        self._tasks = tasks or {}
        self._jobs: dict[str, Job] = {}
        self._stops: dict[str, threading.Event] = {}  # of the jobs that run, as the next
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.RLock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        with self._lock:
            self._closed = True
            for stop in self._stops.values():
                stop.set()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(STOP_SECONDS)

    def start(self, kind: Kind) -> Job:
        """Begin a job.

        Raises:
            JobRunning: one of this kind is running.
            NotReady: the service has no such jobs, or is stopping.
        """
        with self._lock:
            if self._closed or kind not in self._tasks:
                raise NotReady("the service is stopping" if self._closed else f"there are no jobs of kind {kind} here")
            for job in self._jobs.values():
                if job.kind == kind and job.status == "running":
                    raise JobRunning(job.id, kind)
            task, stop = self._tasks[kind](), threading.Event()
            job = Job(f"job_{uuid.uuid4().hex}", kind, "running", task.revision, 0, task.total, now())
            self._jobs[job.id], self._stops[job.id] = job, stop
            for old in list(self._jobs)[:-KEPT]:
                del self._jobs[old]
            self._threads[job.id] = threading.Thread(target=self._run, args=(job.id, task, stop), name=job.id)
            self._threads[job.id].start()
        return job

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        with self._lock:
            if job_id not in self._jobs:
                raise UnknownJob(f"there is no job {job_id}; jobs are gone when the service starts anew")
            return self._jobs[job_id]

    def list(self) -> tuple[Job, ...]:
        """The newest first."""
        with self._lock:
            return tuple(reversed(self._jobs.values()))

    def cancel(self, job_id: str, wait: float = CANCEL_SECONDS) -> Job:
        """Stop a job; one that has ended stays as it is.

        Args:
            wait: seconds in which its thread may end. A job that takes longer is shown as running until it has ended.

        Raises:
            UnknownJob
        """
        with self._lock:
            self.get(job_id)
            thread = self._threads.get(job_id)
            if thread:
                self._stops[job_id].set()
        if thread:
            thread.join(wait)
        return self.get(job_id)

    def _run(self, job_id: str, task: JobWork, stop: threading.Event) -> None:
        """In the thread of the job."""

        def tell(done: int, failing: Sequence[Failing]) -> None:
            self._change(job_id, done=done, failing=tuple(failing))

        try:
            task.run(CancellationToken(stop, tell))
            self._end(job_id, "done")
        except Exception as error:
            if stop.is_set():
                self._end(job_id, "cancelled")
            else:
                logger.exception("job %s failed", job_id)
                self._end(job_id, "failed", f"{error}" or type(error).__name__)

    def _end(self, job_id: str, status: JobStatus, error: str | None = None) -> None:
        with self._lock:
            self._change(job_id, status=status, error=error, finished_at=now())
            del self._stops[job_id], self._threads[job_id]

    def _change(self, job_id: str, **fields: Any) -> None:
        with self._lock:
            if job := self._jobs.get(job_id):
                self._jobs[job_id] = replace(job, **fields)

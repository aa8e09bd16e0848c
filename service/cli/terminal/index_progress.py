"""How far a build is, on stderr: a bar in a terminal, and a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_UNITS = {"reading": "articles"}
_REMEMBERED = 60.0  # seconds that a rate is measured over: what shards an interrupted build left says nothing about it
_EVERY = 30.0  # seconds between two lines


class Pace:
    """The rate of something that is counted, over the last minute."""

    def __init__(self) -> None:
        self._heard: deque[tuple[float, int]] = deque()

    def hear(self, done: int, now: float) -> None:
        self._heard.append((now, done))
        while len(self._heard) > 2 and now - self._heard[0][0] > _REMEMBERED:
            self._heard.popleft()

    @property
    def rate(self) -> float:
        """Per second; 0 while it cannot be told."""
        (began, first), (now, done) = (self._heard[0], self._heard[-1]) if self._heard else ((0.0, 0), (0.0, 0))
        return (done - first) / (now - began) if now > began else 0.0


class IndexProgress:
    """Hears the stages of a build, as a ``retrieval.indexing.corpus_cache.Watch``; used in a ``with``."""

    def __init__(self) -> None:
        self._stage, self._pace, self._said = "", Pace(), 0.0
        self._closing = ExitStack()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = self._closing.enter_context(_bar())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.close()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._begin(stage, now)
        self._pace.hear(done, now)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, said=self._words(done, total))
        elif now - self._said >= _EVERY or done == total:
            self._said = now
            print(f"{stage}: {self._words(done, total)}", file=sys.stderr, flush=True)

    def _begin(self, stage: str, now: float) -> None:
        self._stage, self._pace, self._said = stage, Pace(), now
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(stage, total=None, said="")

    def _words(self, done: int, total: int | None) -> str:
        unit = _UNITS.get(self._stage, "passages")
        words = f"{done:,} {unit}" if total in {None, done} else f"{done:,} of {total:,} {unit}"
        rate = self._pace.rate
        if rate and done != total:
            words += f", {rate:,.0f}/s" if rate >= 10 else f", {rate:.1f}/s"
            words += f", {duration((total - done) / rate)} left" if total is not None else ""
        return words


def duration(seconds: float) -> str:
    """For people, e.g. ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def in_bytes(count: float) -> str:
    """For people, in powers of 1000, e.g. ``412 kB``."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    return Progress(*columns, console=Console(stderr=True), transient=True)

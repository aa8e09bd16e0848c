"""The command line's one display of progress, on stderr: bars in a terminal, a line now and then where there is none.

A command opens it and hands it on as a ``service.progress.ProgressReporter``::

    with ProgressDisplay() as progress:
        train_reader(options, progress)

and the work reports to it, without knowing what shows it::

    with progress.stage("training", total=steps, unit="steps", done=resumed) as stage:
        for step in ...:
            stage.update(step, note=f"loss {loss:.3f}")  # or stage.advance()
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from service.amounts import duration
from service.progress import Stage

if TYPE_CHECKING:
    from rich.progress import Progress

_REMEMBERED = 60.0  # seconds that a rate is measured over: what an interrupted run left done says nothing about it
_EVERY = 30.0  # seconds between two lines where there is no terminal
_COUNTS = 10  # per second: from here on a rate is shown without decimals


class Pace:
    """The rate of something that is counted, over the last minute."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, float]] = deque()

    def count(self, done: float, now: float) -> None:
        self._counts.append((now, done))
        while len(self._counts) > 2 and now - self._counts[0][0] > _REMEMBERED:
            self._counts.popleft()

    @property
    def rate(self) -> float:
        """Per second; 0 while it is not known."""
        (began, first), (now, done) = (self._counts[0], self._counts[-1]) if self._counts else ((0.0, 0.0), (0.0, 0.0))
        return (done - first) / (now - began) if now > began else 0.0


class ProgressDisplay:
    """Bars and lines on stderr, which leaves stdout to the result; used in a ``with``.

    Args:
        keep: whether stages that have ended stay to be read: their bars in a terminal, a line of each elsewhere.
        clock: seconds; the world's, or a test's.
    """

    def __init__(self, keep: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.keep, self.clock = keep, clock
        self._bars: Progress | None = None
        self._closing = ExitStack()
        self._reported: tuple[str, _DisplayedStage] | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bars = self._closing.enter_context(_bars(self.keep))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._reported is not None and kind is None:
            self._reported[1].end()
        self._closing.close()

    def say(self, text: str) -> None:
        """One line, above the bars where there are any."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def stage(self, name: str, total: float | None = None, unit: str = "", done: float = 0) -> Iterator[Stage]:
        """A part of the work, see ``ProgressReporter``; it counts as done when the block ends without an error."""
        stage = self._begin(name, total, unit, done)
        yield stage
        stage.end()

    def report(self, name: str, done: float, total: float | None, unit: str = "") -> None:
        """For work that names its stage with each report, one stage after the other."""
        if self._reported is None or self._reported[0] != name:
            if self._reported is not None:
                self._reported[1].end()
            self._reported = (name, self._begin(name, total, unit, done))
        self._reported[1].update(done, total)

    def _begin(self, name: str, total: float | None, unit: str, done: float) -> _DisplayedStage:
        return _DisplayedStage(self, _Count(name, unit, done, total), self._bars)


class _Count:
    """How far a stage is, in numbers and words."""

    def __init__(self, name: str, unit: str, done: float, total: float | None) -> None:
        self.name, self.unit, self.done, self.total = name, unit, done, total
        self.note, self.pace = "", Pace()

    @property
    def full(self) -> bool:
        return self.done == self.total

    def __str__(self) -> str:
        """E.g. ``1,200 of 5,000 passages, 40/s, 95 s left``, or without a unit ``24 %, 95 s left``."""
        words = [self._amount(), *self._speed(), self.note]
        return ", ".join(word for word in words if word)

    def _amount(self) -> str:
        if not self.unit:
            return f"{100 * self.done / self.total:.0f} %" if self.total else ""
        if self.total is None or self.full:
            return f"{self.done:,.0f} {self.unit}"
        return f"{self.done:,.0f} of {self.total:,.0f} {self.unit}"

    def _speed(self) -> list[str]:
        rate = self.pace.rate
        if rate <= 0 or self.full:
            return []
        left = [] if self.total is None else [f"{duration(max(0.0, self.total - self.done) / rate)} left"]
        speed = [f"{rate:,.0f}/s" if rate >= _COUNTS else f"{rate:.1f}/s"] if self.unit else []
        return speed + left


class _DisplayedStage:
    """A stage on the display."""

    def __init__(self, display: ProgressDisplay, count: _Count, bars: Progress | None) -> None:
        self._display, self._count, self._bars = display, count, bars
        self._shown = display.clock()
        count.pace.count(count.done, self._shown)
        self._task = None if bars is None else bars.add_task(count.name, total=None, words="")
        self._finished = False

    def advance(self, steps: float = 1) -> None:
        self.update(self._count.done + steps)

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        count, now = self._count, self._display.clock()
        count.done, count.note = done, note or count.note
        count.total = count.total if total is None else total
        count.pace.count(done, now)
        if count.full:
            self._finish()
        elif self._bars is None and now - self._shown >= _EVERY:
            self._shown = now
            self._line()
        self._draw()

    def end(self) -> None:
        """Everything of it is done."""
        count = self._count
        if count.total is None:
            count.total = count.done
        count.done = count.total
        self._finish()
        self._draw()
        if self._bars is not None and self._task is not None and not self._display.keep:
            self._bars.remove_task(self._task)

    def _finish(self) -> None:
        """Where there is no terminal, one line when everything is done."""
        if self._bars is None and self._display.keep and not self._finished:
            self._line()
        self._finished = True

    def _line(self) -> None:
        if words := str(self._count):
            self._display.say(f"{self._count.name}: {words}")

    def _draw(self) -> None:
        if self._bars is not None and self._task is not None:
            count = self._count
            self._bars.update(self._task, completed=count.done, total=count.total, words=str(count))


def _bars(keep: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True), transient=not keep)

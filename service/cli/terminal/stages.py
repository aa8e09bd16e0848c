"""Stages of a long command on the terminal: a bar for each, with the time that it still takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

Advance = Callable[[float], None]


class Stages:
    """Bars on stderr, which leaves stdout to the result; where stderr is no terminal, only what is said is printed."""

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bars: Any = Progress(*columns, console=Console(stderr=True))
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """One line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False)

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        """A bar that is full at the end of the block; ``advance`` tells how much more is done."""
        task = self._bars.add_task(name, total=total)
        yield lambda more: self._bars.advance(task, more)
        self._bars.update(task, completed=total)

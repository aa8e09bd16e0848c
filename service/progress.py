"""How far long work is: what training, evaluation, export and indexing report, whoever shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One part of the work."""

    def advance(self, steps: float = 1) -> None:
        """So much more is done."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """So much is done altogether. ``total``, where it is known only now; ``note``: a few words beside the count."""


class ProgressReporter(Protocol):
    """What long work reports to. The command line's is ``service.cli.terminal.progress.ProgressDisplay``."""

    def say(self, text: str) -> None:
        """One line for the user."""

    def stage(
        self, name: str, total: float | None = None, unit: str = "", done: float = 0
    ) -> AbstractContextManager[Stage]:
        """A part of the work, as long as the block lasts.

        Args:
            total: what is to be done; None: not known.
            unit: what is counted, in the plural; without it the share of the total is shown.
            done: what an earlier run has left done.
        """


class _SilentStage:
    def advance(self, steps: float = 1) -> None:
        pass

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        pass


class SilentProgress:
    """Shows nothing."""

    def say(self, text: str) -> None:
        pass

    @contextmanager
    def stage(self, name: str, total: float | None = None, unit: str = "", done: float = 0) -> Iterator[Stage]:
        del name, total, unit, done
        yield _SilentStage()


SILENT = SilentProgress()

"""Reads every factor file once after the start, beside the work, and says which are damaged."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from service.edits.factor_health import FactorHealth
from service.types.edits import Damage

Say = Callable[[str], None]
BYTES_A_SECOND = 50e6  # a small part of what a disk gives; ten thousand edits take a minute or two
NICE = 19  # the thread runs when nothing else wants to
NAMED_AT_START = 20  # damaged edits; GET /log/verify names all


class StartupCheck:
    """One pass over all files in a thread of low priority. Begun and stopped by a ``with``.

    It reads no faster than ``BYTES_A_SECOND`` and leaves what it read out of the page cache: files in use are in memory
    anyway, and the rest is not wanted soon.

    Args:
        health: what it finds is noted there.
        say: hears of each damaged edit that was not known yet.
    """

    def __init__(self, health: FactorHealth, say: Say) -> None:
        self.health, self.say = health, say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def join(self) -> None:
        """Until everything was read."""
        self._thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        known = {damage.edit_id for damage in self.health.damaged()}
        for edit_id in self.health.expected():
            if self._stop.is_set():
                return
            damage = self.health.check(edit_id, leave_cached=False)
            if damage and edit_id not in known:
                self.say(warning(damage))
            self._stop.wait(self.health.size(edit_id) / BYTES_A_SECOND)


def tell_missing_files(health: FactorHealth, say: Say) -> None:
    """Say which files are missing or cut short. ``StartupCheck`` compares their digests as well."""
    found = health.glance()
    for damage in found[:NAMED_AT_START]:
        say(warning(damage))
    if len(found) > NAMED_AT_START:
        say(f"and {len(found) - NAMED_AT_START} more damaged edits; GET /log/verify names all")


def warning(damage: Damage) -> str:
    """One line for whoever looks after the service."""
    return f"damaged edit {damage.edit_id} (revision {damage.seq}): {damage.why}; restore it or roll the edit back"

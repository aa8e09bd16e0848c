"""The one display of progress of the command line."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from service.amounts import duration, in_bytes
from service.cli.terminal.progress import Pace, ProgressDisplay
from service.progress import SILENT, ProgressReporter


def test_the_pace_is_that_of_the_last_minute() -> None:
    """What an interrupted build left is counted at once, and soon forgotten."""
    pace = Pace()
    assert pace.rate == 0
    for second in range(300):
        pace.count(100_000 * (second > 0) + 10 * second, float(second))
    assert np.isclose(pace.rate, 10)


def test_lines_without_a_terminal_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    """One at the end of each stage, and not one for each batch."""
    with ProgressDisplay() as display:
        for done in range(1, 1001):
            display.report("embedding", done, 1000, "passages")
        display.report("indexing", 5, 5, "passages")
    assert capsys.readouterr().err.splitlines() == ["embedding: 1,000 passages", "indexing: 5 passages"]


def test_durations_and_sizes_for_people() -> None:
    """Rounded to what matters."""
    assert [duration(s) for s in (3.4, 99, 750, 12_000)] == ["3 s", "99 s", "12 min", "3 h 20 min"]
    assert [in_bytes(n) for n in (12, 4_100, 7_000_000, 32_000_000_000)] == ["12 bytes", "4 kB", "7 MB", "32.0 GB"]


class Seconds:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_stage_tells_its_rate_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal, one line in half a minute; what an earlier run did does not count for the rate."""
    clock = Seconds()
    with ProgressDisplay(clock=clock) as display, display.stage("training", 1200, "steps", 1000) as stage:
        for step in range(1001, 1063):
            clock.now += 1.0
            stage.update(step, note="loss 0.5")
    assert capsys.readouterr().err.splitlines() == [
        "training: 1,030 of 1,200 steps, 1.0/s, 3 min left, loss 0.5",
        "training: 1,060 of 1,200 steps, 1.0/s, 2 min left, loss 0.5",
        "training: 1,200 steps, loss 0.5",
    ]


def test_without_a_unit_the_share_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Of work that is measured in fractions of itself."""
    clock = Seconds()
    with ProgressDisplay(clock=clock) as display, display.stage("judging", 1) as stage:
        clock.now = 40.0
        stage.advance(0.4)
    assert capsys.readouterr().err.splitlines() == ["judging: 40 %, 60 s left", "judging: 100 %"]


def test_a_stage_that_fails_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in a block of its own nor reported."""
    with pytest.raises(OSError), ProgressDisplay() as display, display.stage("training", 3, "steps") as stage:
        stage.advance()
        raise OSError
    with pytest.raises(OSError), ProgressDisplay() as display:
        display.report("reading", 1, None, "articles")
        raise OSError
    assert capsys.readouterr().err == ""


def test_a_display_that_keeps_nothing_is_quiet_when_work_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    """Its command sums up itself; what the work says is printed all the same, on stderr."""
    with ProgressDisplay(keep=False) as display, display.stage("correcting", 2, "corrections") as stage:
        stage.advance(2)
        display.say("[b]waiting[/b]")
    assert capsys.readouterr() == ("", "[b]waiting[/b]\n")


def test_bars_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts and notes stand beside the bar, and are never read as markup."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with ProgressDisplay() as display, display.stage("training", 4, "steps") as stage:
        stage.update(2, note="[b]loss[/b]")
        display.say("halfway")
    shown = capsys.readouterr().err
    assert "training" in shown and "4 steps, [b]loss[/b]" in shown and "halfway" in shown


def test_silent_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """For work that is called without a display."""

    def work(progress: ProgressReporter) -> str:
        with progress.stage("training", 2, "steps") as stage:
            stage.advance()
            stage.update(2, note="done")
        progress.say("ready")
        return "result"

    assert work(SILENT) == "result"
    assert capsys.readouterr() == ("", "")

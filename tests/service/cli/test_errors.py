"""How the errors of the packages end a command."""

from __future__ import annotations

import errno

import pytest
import typer

from editing.errors import DataError
from index.errors import CorpusError
from retrieval.errors import EncoderError
from service.cli.terminal.errors import exit_on_error
from service.errors import NotReady


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("no facts"), "no facts"),
        (CorpusError("dump.xml", "broken"), "dump.xml: broken"),
        (EncoderError("no weights"), "no weights"),
        (NotReady("no index"), "no index"),
        (OSError(errno.ENOSPC, "No space left on device", "out.json"), "out.json: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk: No space left on device"),
    ],
)
def test_foreseen_errors_are_a_line_and_status_1(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all four packages and of the disk; nothing goes to stdout."""
    with pytest.raises(typer.Exit) as ended, exit_on_error():
        raise error
    assert (ended.value.exit_code, capsys.readouterr()) == (1, ("", f"{line}\n"))


def test_ctrl_c_ends_with_130_where_the_command_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise it is the caller's."""
    with pytest.raises(typer.Exit) as ended, exit_on_error("the same command goes on"):
        raise KeyboardInterrupt
    assert (ended.value.exit_code, capsys.readouterr().err) == (130, "the same command goes on\n")
    with pytest.raises(KeyboardInterrupt), exit_on_error():
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [ValueError("x"), BrokenPipeError()])
def test_what_nobody_foresaw_keeps_its_stack_trace(error: Exception) -> None:
    """A closed pipe is left to click, which ends the program quietly."""
    with pytest.raises(type(error)), exit_on_error():
        raise error

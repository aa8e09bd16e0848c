"""How what goes wrong reaches the user: a line on stderr and an exit status, instead of a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

FAILED, INTERRUPTED = 1, 130


def fail(message: str, status: int = FAILED) -> NoReturn:
    """Print the message in red on stderr and end the command."""
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(status)


@contextmanager
def exit_on_error(interrupted: str | None = None) -> Iterator[None]:
    """Ends the command with a line on stderr when the block raises an error of one of our packages, or of the disk.

    Args:
        interrupted: what to say when the user presses Ctrl-C; None leaves that to the block's caller.

    Raises:
        typer.Exit: with status 1, or 130 after Ctrl-C.
    """
    from editing.errors import EditingError
    from index.errors import IndexingError
    from retrieval.errors import RetrievalError
    from service.errors import ServiceError

    try:
        yield
    except (EditingError, IndexingError, RetrievalError, ServiceError) as error:
        fail(str(error))
    except BrokenPipeError:
        raise  # whoever read our output has read enough; click ends the program quietly
    except OSError as error:
        fail(f"{error.filename or 'the disk'}: {error.strerror or error}")
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        fail(interrupted, INTERRUPTED)

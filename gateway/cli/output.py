"""How the command line speaks: plain text, and errors as error, cause and hint."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

FINE, FINDINGS, USAGE, CANNOT_RUN = 0, 1, 2, 3
INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended


class CannotRunError(Exception):
    """A command that cannot do its work: what failed, why, and what to do."""

    def __init__(self, error: str, cause: str, hint: str) -> None:
        super().__init__(error)
        self.error = error
        self.cause = cause
        self.hint = hint


def complain(error: str, cause: str, hint: str) -> None:
    """Print what went wrong on standard error."""
    sys.stdout.flush()
    print(f"error: {error}\ncause: {cause}\nhint:  {hint}", file=sys.stderr, flush=True)


def fail(command: Callable[[], int]) -> int:
    """Run a command; turn the errors of a user into words and an exit code."""
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception as error:
        # Imported when something went wrong: it knows every part, and `--help` needs none.
        from gateway.cli.mistakes import explain  # noqa: PLC0415

        told = explain(error)
        if told is None:
            raise
        return told
    return code

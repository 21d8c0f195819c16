"""What can go wrong between us and Tryton, and the problem each becomes for the caller."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from portico.problems import (
    BAD_UPSTREAM,
    CONFLICT,
    DEADLINE_EXCEEDED,
    NOT_FOUND,
    SYSTEM_UNAVAILABLE,
    UNPROCESSABLE,
    Problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM = "tryton"
# Long enough that a restarting Tryton is up, short enough that nobody waits for nothing.
RETRY_AFTER_SECONDS = 2
# Tryton quotes values in its messages; a caller needs the sentence, not a whole record.
MAX_DETAIL_CHARACTERS = 500


class TrytonError(Exception):
    """An exchange with Tryton did not end well. `message` is for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnavailableError(TrytonError):
    """Tryton cannot be reached or cannot work now.

    `in_doubt` tells that the request may have taken effect all the same.
    """

    def __init__(
        self, message: str, *, in_doubt: bool = False, retry_after: int = RETRY_AFTER_SECONDS
    ) -> None:
        super().__init__(message)
        self.in_doubt = in_doubt
        self.retry_after = retry_after


class UnreachableError(UnavailableError):
    """No connection could be made, so nothing was sent."""


class OutOfTimeError(TrytonError):
    """The deadline passed before Tryton answered. The request may have taken effect."""


class MissingError(TrytonError):
    """The record does not exist, or our user may not see it."""


class RefusedError(TrytonError):
    """Tryton understood and refused: a validation, a business rule or a warning."""


class LockedError(TrytonError):
    """Somebody else changed or holds the record at this moment."""


class BrokenError(TrytonError):
    """Tryton failed on our request, or answered what cannot be read: ours or its bug."""


@contextmanager
def as_problems() -> Iterator[None]:
    """Turn the failures of an exchange with Tryton into problems."""
    try:
        yield
    except TrytonError as error:
        raise problem_of(error) from error


def problem_of(error: TrytonError) -> Problem:
    """Return the problem that a failure is for the caller of this API."""
    detail = error.message[:MAX_DETAIL_CHARACTERS]
    named: dict[str, object] = {"system": SYSTEM}
    match error:
        # A write in doubt must not look like one that can be sent again at will.
        case UnavailableError(in_doubt=False):
            retry = [("Retry-After", str(error.retry_after))]
            return Problem(SYSTEM_UNAVAILABLE, detail, headers=retry, extensions=named)
        case OutOfTimeError():
            return Problem(DEADLINE_EXCEEDED, detail, extensions=named)
        case MissingError():
            return Problem(NOT_FOUND, detail)
        case RefusedError():
            return Problem(UNPROCESSABLE, detail, extensions=named)
        case LockedError():
            return Problem(CONFLICT, detail, headers=[("Retry-After", "1")], extensions=named)
        case _:
            return Problem(BAD_UPSTREAM, detail, extensions=named)

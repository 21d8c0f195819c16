"""What can go wrong between a connector and its system, and the problem each becomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil

from portico.problem_type import ProblemType
from portico.problems import (
    BAD_UPSTREAM,
    CONFLICT,
    DEADLINE_EXCEEDED,
    NOT_FOUND,
    RECORD_CHANGED,
    SYSTEM_UNAVAILABLE,
    UNPROCESSABLE,
    Problem,
)

# Long enough that a restarting system is up, short enough that nobody waits for nothing.
RETRY_AFTER_SECONDS = 2.0
# A quota of a day is not back in seconds; a quarter of an hour keeps callers from hammering.
QUOTA_RETRY_AFTER_SECONDS = 900.0
# Systems quote values in their messages; a caller needs the sentence, not a whole record.
MAX_DETAIL_CHARACTERS = 500


class ConnectorError(Exception):
    """An exchange with a system did not end well. `message` is for people.

    `code` is the system's own. `in_doubt` tells that a write may have taken effect all the same.
    `record_ids` are the records that stand in the way, where the system names them.
    """

    def __init__(
        self,
        message: str,
        *,
        system: str = "",
        code: str = "",
        retry_after_seconds: float | None = None,
        in_doubt: bool = False,
        record_ids: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.system = system
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        self.in_doubt = in_doubt
        self.record_ids = tuple(record_ids)


class LockedError(ConnectorError):
    """Somebody else holds the record at this moment; nothing was changed. Retry now."""


class ThrottledError(ConnectorError):
    """More was asked than the system allows now; nothing was changed. Retry after a while."""


class QuotaError(ConnectorError):
    """An allowance of hours or days is used up; nothing was changed."""


class UnauthenticatedError(ConnectorError):
    """The token is not accepted, or no longer; nothing was changed. Authenticate again."""


class CredentialsError(ConnectorError):
    """No token is issued for the credentials, or none can be kept: for the operator to repair."""


class NotPermittedError(ConnectorError):
    """The credentials are good and do not allow this."""


class ConflictError(ConnectorError):
    """The record is not at the version that was to be changed. Read, merge, write again."""


class OvertakenError(ConflictError):
    """Somebody else changed the record after it was read; nothing was changed. Write again.

    Other than a conflict with what is recorded, it passes.
    """


class DuplicateError(ConnectorError):
    """There is such a record already."""


class RefusedError(ConnectorError):
    """The system understood and refused: a validation or a business rule."""


class MissingError(ConnectorError):
    """The record does not exist, no longer exists, or may not be seen."""


class UnavailableError(ConnectorError):
    """The system cannot be reached or cannot work now."""


class UnreachableError(UnavailableError):
    """No connection could be made, so nothing was sent."""


class OutOfTimeError(ConnectorError):
    """The deadline passed before the system answered. A write may have taken effect."""


class BrokenError(ConnectorError):
    """The system failed on our request, or answered what cannot be read: ours or its bug."""


@contextmanager
def as_problems() -> Iterator[None]:
    """Turn the failures of a connector into problems."""
    try:
        yield
    except ConnectorError as error:
        raise problem_of(error) from error


# A credential that is not accepted is for the operator to repair, not for the caller: 502.
_KINDS: tuple[tuple[type[ConnectorError], ProblemType, float | None], ...] = (
    (LockedError, CONFLICT, 1.0),
    (ThrottledError, SYSTEM_UNAVAILABLE, RETRY_AFTER_SECONDS),
    (QuotaError, SYSTEM_UNAVAILABLE, QUOTA_RETRY_AFTER_SECONDS),
    (OvertakenError, RECORD_CHANGED, 1.0),
    (ConflictError, CONFLICT, None),
    (DuplicateError, CONFLICT, None),
    (RefusedError, UNPROCESSABLE, None),
    (MissingError, NOT_FOUND, None),
    (UnavailableError, SYSTEM_UNAVAILABLE, RETRY_AFTER_SECONDS),
    (OutOfTimeError, DEADLINE_EXCEEDED, None),
)


def problem_of(error: ConnectorError) -> Problem:
    """Return the problem that a failure is for the caller of the API."""
    kind, seconds = _kind_of(error)
    headers = []
    if seconds is not None:
        wait = seconds if error.retry_after_seconds is None else error.retry_after_seconds
        headers.append(("Retry-After", str(max(1, ceil(wait)))))
    extensions: dict[str, object] = {"system": error.system} if error.system else {}
    if error.code:
        extensions["systemCode"] = error.code
    if error.record_ids:
        extensions["recordIds"] = list(error.record_ids)
    detail = error.message[:MAX_DETAIL_CHARACTERS]
    return Problem(kind, detail, headers=headers, extensions=extensions)


def _kind_of(error: ConnectorError) -> tuple[ProblemType, float | None]:
    # A write in doubt must not look like one that can be sent again at will.
    if isinstance(error, UnavailableError) and error.in_doubt:
        return BAD_UPSTREAM, None
    for failure, kind, seconds in _KINDS:
        if isinstance(error, failure):
            return kind, seconds
    return BAD_UPSTREAM, None

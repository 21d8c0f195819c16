"""What can go wrong with Redis, told as its callers must act on it."""

from __future__ import annotations

import re
from enum import StrEnum

import redis.exceptions as theirs


class Reason(StrEnum):
    """Why Redis is not available to one command."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    OUT_OF_MEMORY = "out-of-memory"
    READ_ONLY = "read-only"
    CLUSTER_DOWN = "cluster-down"
    LOADING = "loading"
    BUSY = "busy"
    WRITE_REFUSED = "write-refused"
    NOT_REPLICATED = "not-replicated"
    AUTHENTICATION = "authentication"
    CLOSED = "closed"


class RedisFailure(Exception):  # noqa: N818  # RedisError is redis-py's
    """A command that did not get the reply it was sent for."""


class RedisUnavailable(RedisFailure):
    """Redis did not answer, or is in no state to do what it was asked.

    `sent` tells whether the command may have been executed. `reply` is what it answered where
    only its durability is in doubt.
    """

    def __init__(
        self, reason: Reason, detail: str, *, sent: bool, reply: object | None = None
    ) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.sent = sent
        self.reply = reply

    def __str__(self) -> str:
        fate = "it may have been executed" if self.sent else "it was not executed"
        return f"{self.detail} ({self.reason}); {fate}"


class RedisRefused(RedisFailure):
    """Redis refused the command: a wrong script, argument, type or permission."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ErrorReply(Exception):  # noqa: N818  # what it means is for the client to say
    """An error reply as redis-py has it; stays inside this package.

    `repeated` tells that the command was written before, to a connection that was lost.
    """

    def __init__(self, error: theirs.RedisError, *, repeated: bool) -> None:
        super().__init__(error)
        self.error = error
        self.repeated = repeated


# Redis answers these instead of executing a command. A script gets one at its first write, if at
# all, so that nothing was written either.
_NOT_EXECUTED = {
    "OOM": Reason.OUT_OF_MEMORY,
    "READONLY": Reason.READ_ONLY,
    "MASTERDOWN": Reason.READ_ONLY,
    "CLUSTERDOWN": Reason.CLUSTER_DOWN,
    "TRYAGAIN": Reason.CLUSTER_DOWN,
    "MOVED": Reason.CLUSTER_DOWN,
    "ASK": Reason.CLUSTER_DOWN,
    "LOADING": Reason.LOADING,
    "BUSY": Reason.BUSY,
    "MISCONF": Reason.WRITE_REFUSED,
    "NOREPLICAS": Reason.WRITE_REFUSED,
    "NOAUTH": Reason.AUTHENTICATION,
    "WRONGPASS": Reason.AUTHENTICATION,
}
# Before Redis 7 what a command of a script met is inside: "Error running script … 1: -OOM …".
_IN_SCRIPT = re.compile(r"^(?:ERR )?Error running script [^-]*: -([A-Z]+) ")


def failure_from(error: theirs.RedisError, *, repeated: bool = False) -> RedisFailure:
    """Return what an error reply means to the caller."""
    code = reply_code(error)
    reason = _NOT_EXECUTED.get(code)
    if reason is not None:
        return RedisUnavailable(reason, _text(code, error), sent=repeated)
    return RedisRefused(_text(code, error))


def reply_code(error: theirs.RedisError) -> str:
    """Return the first word of an error reply: `NOSCRIPT`, `OOM`, `ERR`."""
    text = str(error)
    inside = _IN_SCRIPT.match(text)
    if inside is not None:
        return inside[1]
    return error.status_code or text.partition(" ")[0]


def _text(code: str, error: theirs.RedisError) -> str:
    text = str(error)
    return text if text.startswith(code) else f"{code} {text}"

"""What an answer means: a table for each system, above one by status that all share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from portico.connectors.failures import (
    BrokenError,
    ConflictError,
    ConnectorError,
    LockedError,
    MissingError,
    NotPermittedError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from portico.connectors.messages import Answer, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What a system says about a failure: its own code, a sentence, records in the way."""

    message: str
    code: str = ""
    record_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Answers of this code, of this status, or of both, are this failure.

    `retry_after_seconds` is for systems that limit without saying how long. `in_doubt` tells that
    a write may have taken effect.
    """

    failure: type[ConnectorError]
    status: int | None = None
    code: str | None = None
    retry_after_seconds: float | None = None
    in_doubt: bool = False

    def matches(self, status: int, code: str) -> bool:
        return self.status in {None, status} and self.code in {None, code}


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a system says is left of a limit: `used` of `total` in the time that it counts."""

    name: str
    used: int
    total: int


def no_allowances(_answer: Answer) -> Sequence[Allowance]:
    """Return nothing, for a system that does not tell what is left."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a system words its failures.

    `read_reason` finds the failure that an answer reports, also one hidden in a 200, and returns
    None where the answer reports none. The first rule that matches decides; without one, the
    status does. `accepted` are statuses of 400 and above that are good answers all the same.
    """

    system: str
    read_reason: Callable[[Answer], Reason | None]
    rules: Sequence[Rule] = ()
    accepted: frozenset[int] = frozenset()
    read_allowances: Callable[[Answer], Sequence[Allowance]] = no_allowances


# A 500 is not retried blindly: some systems answer it to a bad request.
_BY_STATUS = {
    400: Rule(failure=RefusedError),
    401: Rule(failure=UnauthenticatedError),
    403: Rule(failure=NotPermittedError),
    404: Rule(failure=MissingError),
    409: Rule(failure=ConflictError),
    410: Rule(failure=MissingError),
    412: Rule(failure=ConflictError),
    422: Rule(failure=RefusedError),
    423: Rule(failure=LockedError),
    429: Rule(failure=ThrottledError),
    502: Rule(failure=UnavailableError, in_doubt=True),
    503: Rule(failure=UnavailableError, in_doubt=True),
    504: Rule(failure=UnavailableError, in_doubt=True),
}
_OTHERWISE = Rule(failure=BrokenError, in_doubt=True)


def classify(dialect: Dialect, request: Request, answer: Answer) -> ConnectorError | None:
    """Return the failure that an answer is, None for a good one."""
    reason = dialect.read_reason(answer)
    if reason is None and (answer.status < 400 or answer.status in dialect.accepted):
        return None
    if reason is None:
        reason = Reason(message=f"{dialect.system} answered {answer.status} without a reason")
    rule = _rule_for(dialect, answer.status, reason.code)
    wait = answer.retry_after_seconds()
    return rule.failure(
        reason.message,
        system=dialect.system,
        code=reason.code,
        retry_after_seconds=rule.retry_after_seconds if wait is None else wait,
        in_doubt=rule.in_doubt and not request.repeatable,
        record_ids=reason.record_ids,
    )


def _rule_for(dialect: Dialect, status: int, code: str) -> Rule:
    for rule in dialect.rules:
        if rule.matches(status, code):
            return rule
    return _BY_STATUS.get(status, _OTHERWISE)

"""The problems of attempts that do not run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from portico.idempotency.attempt import Standing, Verdict
from portico.idempotency.key import described
from portico.idempotency.problems import (
    IN_DOUBT,
    IN_FLIGHT,
    KEY_EXPIRED,
    KEY_MISMATCH,
    KEY_QUOTA,
    NOT_REPLAYABLE,
    RECORD_UNREADABLE,
    STORE_UNAVAILABLE,
)
from portico.idempotency.scope import record_id
from portico.problems import Problem

# Those who were refused together come back apart.
_JITTER_SECONDS = 3
_LONGEST_RETRY_SECONDS = 3600


def retry_after(seconds: float) -> tuple[str, str]:
    """Return a Retry-After field of at least so many whole seconds, with jitter."""
    least = min(max(1, math.ceil(seconds)), _LONGEST_RETRY_SECONDS)
    return "Retry-After", str(least + random.randrange(_JITTER_SECONDS))


def refusal(standing: Standing, type_base: str) -> Problem:
    """Return the problem of an attempt that neither runs nor is answered from the record."""
    problem = _BY_VERDICT[standing.verdict](standing, type_base)
    problem.extensions.setdefault("record", record_id(standing.record_name))
    return problem


def _mismatch(standing: Standing, type_base: str) -> Problem:
    del standing
    return described(KEY_MISMATCH, "the key was first used for a different request", type_base)


def _busy(standing: Standing, type_base: str) -> Problem:
    del standing
    problem = described(IN_FLIGHT, "the first request with this key is still running", type_base)
    problem.headers += (retry_after(1.0),)
    return problem


def _tombstone(standing: Standing, type_base: str) -> Problem:
    problem = described(NOT_REPLAYABLE, "", type_base)
    response = standing.record.response if standing.record is not None else None
    if response is not None:
        problem.extensions["originalStatus"] = response.status
        problem.headers += tuple(
            ("Location", value.decode("latin-1"))
            for name, value in response.headers
            if name == b"location"
        )
    return problem


def _in_doubt(standing: Standing, type_base: str) -> Problem:
    del standing
    return described(IN_DOUBT, "an earlier attempt ended without a known outcome", type_base)


def _over_quota(standing: Standing, type_base: str) -> Problem:
    problem = described(KEY_QUOTA, "", type_base)
    problem.headers += (retry_after(standing.left_seconds),)
    return problem


def _expired(standing: Standing, type_base: str) -> Problem:
    del standing
    return described(KEY_EXPIRED, "", type_base)


def _unreadable(standing: Standing, type_base: str) -> Problem:
    del standing
    return described(RECORD_UNREADABLE, "", type_base)


def _abandoned(standing: Standing, type_base: str) -> Problem:
    del standing
    problem = described(STORE_UNAVAILABLE, "", type_base)
    problem.headers += (retry_after(1.0),)
    return problem


_BY_VERDICT: dict[Verdict, Callable[[Standing, str], Problem]] = {
    Verdict.MISMATCH: _mismatch,
    Verdict.BUSY: _busy,
    Verdict.TOMBSTONE: _tombstone,
    Verdict.IN_DOUBT: _in_doubt,
    Verdict.QUOTA: _over_quota,
    Verdict.EXPIRED: _expired,
    Verdict.BROKEN: _unreadable,
    Verdict.ABANDONED: _abandoned,
}

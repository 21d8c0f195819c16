"""A verdict that is not favourable, as the problem the caller gets."""

from __future__ import annotations

import random

from portico.limits.headers import LimitHeaders, retry_after
from portico.limits.problems import EXCEEDS_QUOTA, QUOTA_EXCEEDED, REDUCED_CAPACITY
from portico.limits.verdict import Verdict
from portico.problems import Problem

# Callers that are sent away together must not come back together.
_CLOSED_SECONDS = (2, 6)
_MEMBER = "violated-policies"


def refusal(verdict: Verdict, headers: LimitHeaders) -> Problem:
    """Return the problem of a verdict that does not allow its request."""
    if verdict.closed:
        return _closed(verdict)
    fields = [_text(*field) for field in headers.fields(verdict, 429)]
    violated = [standing for standing in verdict.standings() if standing.violated]
    names = [standing.bucket.name for standing in violated]
    if verdict.never:
        return Problem(
            EXCEEDS_QUOTA,
            f"one request may cost {_most(verdict)}",
            headers=fields,
            extensions={_MEMBER: names},
        )
    fields.append(_text(*retry_after(verdict)))
    detail = f"used up: {', '.join(names)}; more in {verdict.retry_after_seconds} s"
    return Problem(QUOTA_EXCEEDED, detail, headers=fields, extensions={_MEMBER: names})


def _closed(verdict: Verdict) -> Problem:
    seconds = random.randint(*_CLOSED_SECONDS)
    return Problem(
        REDUCED_CAPACITY,
        headers=[("retry-after", str(seconds))],
        extensions={_MEMBER: list(verdict.closed)},
    )


def _most(verdict: Verdict) -> str:
    demand = verdict.demand
    pairs = zip(demand.buckets, demand.costs, strict=True)
    return ", ".join(
        f"at most {bucket.capacity} {bucket.unit} of {bucket.name} and costs {cost}"
        for bucket, cost in pairs
        if cost > bucket.capacity
    )


def _text(name: bytes, value: bytes) -> tuple[str, str]:
    return name.decode("ascii"), value.decode("ascii")

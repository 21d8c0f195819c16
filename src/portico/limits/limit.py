"""What may be promised or refused: limits by rate, by month and at once, as they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from limits import RateLimitItem
from limits.util import SEPARATORS
from slowapi.wrappers import LimitGroup

from portico.limits.bucket import (
    Bucket,
    LimitError,
    Outage,
    Per,
    Unit,
    concurrency,
    gcra,
    month,
    window,
)

# A name is a string of a structured field, a part of a key and a word in a problem.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}\Z")
# Structured fields know integers of 15 digits.
_MAX_AMOUNT = 10**15 - 1
_MAX_LEASE_SECONDS = 3600.0


class Strategy(StrEnum):
    """How a rate is meant.

    `gcra` lets a rested caller spend the burst at once and refills steadily. `window` never allows
    more than the amount in any span of the window, wherever it begins.
    """

    GCRA = "gcra"
    WINDOW = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a cost may depend on."""

    operation: str
    client_id: str = ""
    address: str = ""
    content_bytes: int = 0


Cost = int | Callable[[Subject], int]


@dataclass(frozen=True, slots=True)
class Charge:
    """A bucket and what one request of an operation costs there."""

    bucket: Bucket
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePolicy:
    """Limits by rate, such as `5/second;100000/day`, in the notation of limits and slowapi.

    A `month` of that notation is 30 days and a `year` 360. `burst` is what can be spent at once
    with `gcra`; the amount where it is absent. A request of `content-bytes` costs the length of its
    body, at least 1. No `operations` means all.
    """

    name: str
    limits: str
    strategy: Strategy = Strategy.GCRA
    burst: int | None = None
    per: Per = Per.CLIENT
    unit: Unit = Unit.REQUESTS
    operations: frozenset[str] = frozenset()
    cost: Cost | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)
    outage: Outage = Outage.LOCAL

    def buckets(self) -> tuple[Bucket, ...]:
        """Return a bucket for each limit. Raises LimitError."""
        check_name(self.name)
        if self.unit is Unit.CONCURRENT_REQUESTS:
            raise LimitError(f"{self.name}: requests at once are no rate; use a concurrency limit")
        items = parse_limits(self.limits)
        if self.burst is not None and (self.strategy is Strategy.WINDOW or len(items) > 1):
            raise LimitError(f"{self.name}: a burst belongs to one limit of strategy gcra")
        names = _names(self.name, items)
        found = [self._bucket(name, item) for name, item in zip(names, items, strict=True)]
        return tuple(found)

    def _bucket(self, name: str, item: RateLimitItem) -> Bucket:
        amount, seconds = item.amount, item.get_expiry()
        if self.strategy is Strategy.WINDOW:
            return window(name, amount, seconds, per=self.per, unit=self.unit, outage=self.outage)
        burst = amount if self.burst is None else self.burst
        _check_amount(self.name, "burst", burst)
        return gcra(name, amount, seconds, burst, per=self.per, unit=self.unit, outage=self.outage)

    def cost_of(self, operation: str) -> Cost:
        return _cost(self.costs.get(operation, self.cost), self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaPolicy:
    """An amount for each calendar month, which begins on the first at 00:00 UTC."""

    name: str
    per_month: int
    per: Per = Per.CLIENT
    unit: Unit = Unit.REQUESTS
    operations: frozenset[str] = frozenset()
    cost: Cost | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)
    outage: Outage = Outage.LOCAL

    def buckets(self) -> tuple[Bucket, ...]:
        """Return the bucket. Raises LimitError."""
        check_name(self.name)
        _check_amount(self.name, "per_month", self.per_month)
        return (month(self.name, self.per_month, per=self.per, unit=self.unit, outage=self.outage),)

    def cost_of(self, operation: str) -> Cost:
        return _cost(self.costs.get(operation, self.cost), self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyPolicy:
    """How many requests may run at once.

    A place is leased, and the lease is renewed while the request runs: the places of a process that
    is killed are free after `lease_seconds`.
    """

    name: str
    at_once: int
    lease_seconds: float = 30.0
    per: Per = Per.CLIENT
    operations: frozenset[str] = frozenset()
    outage: Outage = Outage.LOCAL

    def buckets(self) -> tuple[Bucket, ...]:
        """Return the bucket. Raises LimitError."""
        check_name(self.name)
        _check_amount(self.name, "at_once", self.at_once)
        if not 1.0 <= self.lease_seconds <= _MAX_LEASE_SECONDS:
            raise LimitError(
                f"{self.name}: expected lease_seconds from 1 to {_MAX_LEASE_SECONDS:g},"
                f" found {self.lease_seconds:g}"
            )
        return (
            concurrency(
                self.name, self.at_once, self.lease_seconds, per=self.per, outage=self.outage
            ),
        )

    def cost_of(self, operation: str) -> Cost:
        del operation
        return 1


Policy = RatePolicy | QuotaPolicy | ConcurrencyPolicy


def parse_limits(text: str) -> tuple[RateLimitItem, ...]:
    """Return the limits of a string such as `5/second;100000/day`. Raises LimitError.

    slowapi parses it; what its grammar skips in silence is refused here.
    """
    try:
        items = [limit.limit for limit in _group(text)]
    except ValueError as error:
        raise LimitError(f"expected limits such as 5/second;100000/day, found {text!r}") from error
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if len(items) != len(SEPARATORS.split(text)) or ":" in text:
        raise LimitError(f"expected limits such as 5/second;100000/day, found {text!r}")
    if not all(0 < number <= _MAX_AMOUNT for number in numbers):
        raise LimitError(f"expected numbers from 1 to {_MAX_AMOUNT}, found {text!r}")
    return tuple(items)


def _group(text: str) -> LimitGroup:
    return LimitGroup(text, str, None, False, None, None, None, 1, False)


def charges(policy: Policy, operation: str, buckets: tuple[Bucket, ...]) -> list[Charge]:
    """Return what a request of the operation costs. Raises LimitError where it never could."""
    if policy.operations and operation not in policy.operations:
        return []
    cost = policy.cost_of(operation)
    for bucket in buckets:
        if isinstance(cost, int) and not 0 < cost <= bucket.capacity:
            raise LimitError(
                f"{bucket.name}: {operation} costs {cost} and the most there ever is are"
                f" {bucket.capacity}"
            )
    return [Charge(bucket, cost) for bucket in buckets]


def check_name(name: str) -> None:
    """Raise LimitError for a name that is not of small letters, digits and hyphens."""
    if not _NAME.match(name):
        raise LimitError(
            f"expected a name of up to 48 small letters, digits and hyphens, found {name!r}"
        )


def _check_amount(name: str, what: str, amount: int) -> None:
    if not 0 < amount <= _MAX_AMOUNT:
        raise LimitError(f"{name}: expected {what} from 1 to {_MAX_AMOUNT}, found {amount}")


def _names(name: str, items: tuple[RateLimitItem, ...]) -> list[str]:
    """Return a name for each limit: the policy's own, or with the window it is about."""
    if len(items) == 1:
        return [name]
    names = [
        f"{name}-{item.GRANULARITY.name}"
        if item.multiples == 1
        else f"{name}-{item.multiples}-{item.GRANULARITY.name}"
        for item in items
    ]
    if len(set(names)) < len(names):
        raise LimitError(f"{name}: two of its limits have the same window")
    return names


def _cost(cost: Cost | None, unit: Unit) -> Cost:
    if cost is not None:
        return cost
    return _content_bytes if unit is Unit.CONTENT_BYTES else 1


def _content_bytes(subject: Subject) -> int:
    # A caller whose bytes are used up must not get in with a request that has none.
    return max(1, subject.content_bytes)

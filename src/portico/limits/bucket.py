"""A limit compiled into integers: what the script is told of it and what headers say of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import gcd

MICROSECONDS = 1_000_000
# The script computes in doubles, exact below 2**53. This leaves room for an overdraft and a cost.
_MAX_TICKS = 2**50
# A bucket that is charged for what it has already given may owe this many times its size.
_OVERDRAFT = 4
# A log keeps this many requests one by one; a larger window is kept in this many slots.
_MAX_ENTRIES = 1000


class LimitError(ValueError):
    """A policy that cannot be enforced as it is written."""


class Kind(StrEnum):
    """How a bucket counts; the letter the script knows it by is part of its key."""

    GCRA = "g"
    WINDOW = "w"
    MONTH = "m"
    CONCURRENCY = "c"


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    CONTENT_BYTES = "content-bytes"
    CONCURRENT_REQUESTS = "concurrent-requests"


class Per(StrEnum):
    """Who shares a bucket. A caller without a client is known by its address."""

    CLIENT = "client"
    OPERATION = "operation"
    ADDRESS = "address"
    CLIENT_OPERATION = "client+operation"


class Outage(StrEnum):
    """What happens while Redis is away."""

    LOCAL = "local"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """GCRA in ticks: a unit costs `interval` of them, a microsecond gives `ticks` back.

    The two are a reduced fraction, so that nothing is rounded at 3/second. `full` is the burst.
    """

    interval: int
    ticks: int
    burst: int

    @property
    def full(self) -> int:
        return self.burst * self.interval

    @classmethod
    def of(cls, amount: int, window_us: int, burst: int) -> Rate:
        """Return the rate of `amount` units in a window.

        Where the numbers are too large to be exact it is a little slower, never faster.
        """
        shared = gcd(amount, window_us)
        interval, ticks = window_us // shared, amount // shared
        if burst * interval > _MAX_TICKS:
            interval = _MAX_TICKS // burst
            ticks = amount * interval // window_us
        if not ticks:
            raise LimitError(
                f"a burst of {burst} at {amount} in {window_us // MICROSECONDS} s cannot be"
                " counted; use a smaller burst or a shorter window"
            )
        return cls(interval=interval, ticks=ticks, burst=burst)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bucket:
    """One limit that is counted. Buckets are the same when they are one object.

    `capacity` is the most that can be consumed at once: the burst, the amount of a window or a
    month, the requests at once. `words` are what the script is told before the cost; the id of a
    lease goes into those of requests at once.
    """

    name: str
    kind: Kind
    per: Per
    unit: Unit
    outage: Outage
    amount: int
    window_seconds: int
    capacity: int
    words: bytes
    rate: Rate | None = None
    lease_seconds: float = 0.0

    @property
    def item(self) -> str:
        """Return its item of RateLimit-Policy (draft 11)."""
        parts = [f'"{self.name}";q={self.amount}']
        if self.unit is not Unit.REQUESTS:
            parts.append(f'qu="{self.unit}"')
        if self.window_seconds:
            parts.append(f"w={self.window_seconds}")
        if self.kind is Kind.GCRA:
            # Quota and window are the steady refill; this is what can be spent at once.
            parts.append(f"portico-burst={self.capacity}")
        return ";".join(parts)

    def __repr__(self) -> str:
        return f"<Bucket {self.item} per {self.per}>"


def gcra(
    name: str, amount: int, seconds: int, burst: int, *, per: Per, unit: Unit, outage: Outage
) -> Bucket:
    """Return a bucket that refills steadily."""
    rate = Rate.of(amount, seconds * MICROSECONDS, burst)
    most = rate.full * (_OVERDRAFT if unit is Unit.CONTENT_BYTES else 1)
    return Bucket(
        name=name,
        kind=Kind.GCRA,
        per=per,
        unit=unit,
        outage=outage,
        amount=amount,
        window_seconds=seconds,
        capacity=burst,
        words=_words(Kind.GCRA, rate.full, most, rate.interval, rate.ticks),
        rate=rate,
    )


def window(name: str, amount: int, seconds: int, *, per: Per, unit: Unit, outage: Outage) -> Bucket:
    """Return a bucket that never allows more than its amount in any span of its window."""
    slot_us = 0
    if amount > _MAX_ENTRIES:
        slot_us = max(1, seconds * MICROSECONDS // _MAX_ENTRIES)
    return Bucket(
        name=name,
        kind=Kind.WINDOW,
        per=per,
        unit=unit,
        outage=outage,
        amount=amount,
        window_seconds=seconds,
        capacity=amount,
        words=_words(Kind.WINDOW, amount, seconds * MICROSECONDS, slot_us, 0),
    )


def month(name: str, amount: int, *, per: Per, unit: Unit, outage: Outage) -> Bucket:
    """Return a bucket that is new with each calendar month (UTC)."""
    return Bucket(
        name=name,
        kind=Kind.MONTH,
        per=per,
        unit=unit,
        outage=outage,
        amount=amount,
        # Months differ: the field that tells the state says when this one ends.
        window_seconds=0,
        capacity=amount,
        words=_words(Kind.MONTH, amount, 0, 0, 0),
    )


def concurrency(
    name: str, at_once: int, lease_seconds: float, *, per: Per, outage: Outage
) -> Bucket:
    """Return a bucket of requests that run."""
    return Bucket(
        name=name,
        kind=Kind.CONCURRENCY,
        per=per,
        unit=Unit.CONCURRENT_REQUESTS,
        outage=outage,
        amount=at_once,
        window_seconds=0,
        capacity=at_once,
        words=b"c %d %d %%b 0" % (at_once, int(lease_seconds * MICROSECONDS)),
        lease_seconds=lease_seconds,
    )


def _words(kind: Kind, *numbers: int) -> bytes:
    return " ".join([kind.value, *map(str, numbers)]).encode("ascii")

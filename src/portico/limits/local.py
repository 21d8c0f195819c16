"""Counting in the memory of one process, while Redis is away.

Each of N workers grants an N-th of every limit, and never less than one request. It starts from
what Redis last told this process, so that an outage is no second burst, and remembers what it has
granted, so that it can be charged when Redis is back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from portico.limits.bucket import MICROSECONDS, Bucket, Kind, Rate
from portico.limits.demand import Demand
from portico.limits.recent import Recent

# Buckets that are remembered, in each of two generations; about 10 MB when both are full.
_CAPACITY = 20_000


class Known(NamedTuple):
    """What Redis last told of a bucket: when all of it is back, on our clock, and what is left."""

    bucket: Bucket
    all_at_us: int
    remaining: int


class Granted(NamedTuple):
    """What was granted here and has to be charged: `cost` once, and `floor` as what is known."""

    key: bytes
    bucket: Bucket
    cost: int
    floor: int


class LocalLimits:
    """Decides demands alone.

    `running` tells how many leases of a key this process holds. The clocks are read in
    microseconds: a steady one, and that of the calendar, for months only.
    """

    def __init__(
        self,
        *,
        workers: int,
        running: Callable[[bytes], int],
        capacity: int = _CAPACITY,
        clock_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._workers = workers
        self._running = running
        self._clock_us = clock_us
        self._wall_us = wall_us
        self._capacity = capacity
        self._known: Recent[bytes, Known] = Recent(capacity)
        # For GCRA the theoretical arrival time in ticks, for months what was used.
        self._states: Recent[bytes, int] = Recent(capacity)
        self._shares: Recent[Bucket, Rate] = Recent(1000)
        self._granted: dict[bytes, tuple[Bucket, int]] = {}
        self.forgotten = 0

    def note(self, demand: Demand, numbers: list[int]) -> None:
        """Remember what Redis told."""
        now = self._clock_us()
        known = self._known
        at = 3
        for key, bucket in zip(demand.keys, demand.buckets, strict=True):
            everything = numbers[at + 3]
            if everything:
                known[key] = Known(bucket, now + everything, numbers[at])
            at += 5

    def decide(self, demand: Demand) -> list[int]:
        """Return numbers like those of the script; all buckets are consumed or none."""
        now = self._clock_us()
        levels = [
            self._level(bucket, key, now)
            for key, bucket in zip(demand.keys, demand.buckets, strict=True)
        ]
        waits = [
            self._wait(bucket, level, cost)
            for bucket, level, cost in zip(demand.buckets, levels, demand.costs, strict=True)
        ]
        refused = 2 if demand.never else int(any(waits))
        if not refused:
            levels = [
                self._consume(bucket, key, level, cost, now)
                for key, bucket, level, cost in zip(
                    demand.keys, demand.buckets, levels, demand.costs, strict=True
                )
            ]
        told = [refused, self._wall_us()]
        for index, bucket in enumerate(demand.buckets):
            state = 2 if demand.costs[index] > bucket.capacity else int(waits[index] > 0)
            told += [state, *self._tell(bucket, levels[index], waits[index])]
        return told

    def charge(self, key: bytes, bucket: Bucket, cost: int) -> None:
        """Count what was consumed already, whatever the state is."""
        now = self._clock_us()
        self._consume(bucket, key, self._level(bucket, key, now), cost, now)

    def owed(self, batch: int) -> list[Granted]:
        """Take up to `batch` of what was granted here and is not charged."""
        taken = []
        while self._granted and len(taken) < batch:
            key, (bucket, cost) = self._granted.popitem()
            taken.append(Granted(key, bucket, cost, 0))
        return taken

    def owe(self, granted: Granted) -> None:
        """Take back what could not be charged."""
        self._grant(granted.key, granted.bucket, granted.cost)

    def floors(self) -> Iterator[Granted]:
        """Yield what Redis must know still: it matters where it has lost what it had counted."""
        now = self._clock_us()
        for key, (bucket, all_at_us, remaining) in self._known.items():
            left = all_at_us - now
            if left <= 0:
                continue
            floor = left * bucket.rate.ticks if bucket.rate else bucket.capacity - remaining
            yield Granted(key, bucket, 0, floor)

    def forget(self) -> None:
        """Start the next outage from what Redis tells by then."""
        self._states.clear()
        self._granted.clear()

    # A level is what is consumed: ticks of the local share for rates, units otherwise.

    def _level(self, bucket: Bucket, key: bytes, now: int) -> int:
        if bucket.kind is Kind.CONCURRENCY:
            return self._running(key)
        state = self._states.get(key)
        if bucket.kind is Kind.MONTH:
            return 0 if state is None else state
        share = self._share(bucket)
        if state is None:
            state = now * share.ticks + self._level_known(bucket, key, now)
        return max(0, state - now * share.ticks)

    def _level_known(self, bucket: Bucket, key: bytes, now: int) -> int:
        """Return the share of what Redis had counted that this worker begins with."""
        known = self._known.get(key)
        if known is None or known.all_at_us <= now:
            return 0
        share = self._share(bucket)
        if bucket.rate is None:
            used = bucket.capacity - known.remaining
            return share.full * used // bucket.capacity
        level = (known.all_at_us - now) * bucket.rate.ticks
        return share.full * level // bucket.rate.full

    def _share(self, bucket: Bucket) -> Rate:
        """Return this worker's part of a rate.

        That of a window is half burst and half refill, which together never exceed its amount.
        """
        share = self._shares.get(bucket)
        if share is None:
            parts = self._workers * (1 if bucket.rate else 2)
            rate = bucket.rate or Rate.of(
                bucket.amount, bucket.window_seconds * MICROSECONDS, bucket.amount
            )
            share = Rate(
                interval=rate.interval * parts,
                ticks=rate.ticks,
                burst=max(1, rate.burst // parts),
            )
            self._shares[bucket] = share
        return share

    def _allowance(self, bucket: Bucket, key: bytes) -> int:
        """Return what this worker may grant of a month or of requests at once."""
        known = self._known.get(key)
        left = bucket.capacity
        if bucket.kind is Kind.MONTH and known is not None and known.all_at_us > self._clock_us():
            left = known.remaining
            if not left:
                return 0
        return max(1, left // self._workers)

    def _wait(self, bucket: Bucket, level: int, cost: int) -> int:
        if bucket.kind in (Kind.GCRA, Kind.WINDOW):
            share = self._share(bucket)
            need = cost * share.interval
            # An operation that costs more than the share is possible all the same.
            excess = level + need - max(share.full, need)
            return max(0, -(-excess // share.ticks))
        return level
    
    def _consume(self, bucket: Bucket, key: bytes, level: int, cost: int, now: int) -> int:
        return level

    def _tell(self, bucket: Bucket, level: int, wait: int) -> list[int]:
        return [0, 0, 0, 0]

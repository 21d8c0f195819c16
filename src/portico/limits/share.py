"""What one worker grants of a limit by itself, by the kind of the bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from portico.limits.bucket import MICROSECONDS, Bucket, Kind, Rate
from portico.limits.recent import Recent

# When all of a bucket is back, on our steady clock, and what is left of it.
Known = tuple[Bucket, int, int]
# Remaining, and microseconds until there is more and until all is back.
Told = tuple[int, int, int]


class Memory:
    """What a worker knows: what Redis last told, and the state of its own buckets.

    `running` tells how many leases of a key this process holds. Clocks are read in microseconds:
    a steady one, and that of the calendar.
    """

    __slots__ = ("clock_us", "known", "running", "states", "wall_us", "workers")

    def __init__(
        self,
        *,
        workers: int,
        capacity: int,
        running: Callable[[bytes], int],
        clock_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.workers = workers
        self.running = running
        self.clock_us = clock_us
        self.wall_us = wall_us
        self.known: Recent[bytes, Known] = Recent(capacity)
        self.states: Recent[bytes, int] = Recent(capacity)

    def known_of(self, key: bytes, now: int) -> Known | None:
        """Return what Redis told, if it is not outlived."""
        known = self.known.get(key)
        return known if known is not None and known[1] > now else None


class Share(Protocol):
    """One worker's part of a bucket; a level is what is consumed of it, in units of its own."""

    def level(self, key: bytes, now: int) -> int: ...

    def wait_us(self, key: bytes, level: int, cost: int, now: int) -> int:
        """Return how long until the cost is allowed, 0 for now."""
        ...

    def consume(self, key: bytes, level: int, cost: int, now: int) -> int:
        """Keep and return the level with the cost."""
        ...

    def tell(self, key: bytes, level: int, now: int) -> Told: ...


def share_of(bucket: Bucket, memory: Memory) -> Share:
    if bucket.kind is Kind.MONTH:
        return _MonthShare(bucket, memory)
    if bucket.kind is Kind.CONCURRENCY:
        return _PlacesShare(bucket, memory)
    return _RateShare(bucket, memory)


class _RateShare:
    """GCRA of an N-th of the rate and the burst. Levels are ticks; a state is the TAT in ticks.

    The share of a window is half burst and half refill, which together never exceed its part.
    """

    def __init__(self, bucket: Bucket, memory: Memory) -> None:
        self._bucket = bucket
        self._memory = memory
        window_us = bucket.window_seconds * MICROSECONDS
        rate = bucket.rate or Rate.of(bucket.amount, window_us, bucket.amount)
        parts = memory.workers * (1 if bucket.kind is Kind.GCRA else 2)
        self._interval = rate.interval * parts
        self._ticks = rate.ticks
        self._burst = max(1, rate.burst // parts)
        self._full = self._burst * self._interval

    def level(self, key: bytes, now: int) -> int:
        state = self._memory.states.get(key)
        if state is None:
            return self._level_known(key, now)
        return max(0, state - now * self._ticks)

    def _level_known(self, key: bytes, now: int) -> int:
        """Return the part of what Redis had counted that this worker begins with."""
        known = self._memory.known_of(key, now)
        if known is None:
            return 0
        bucket, all_at_us, remaining = known
        if bucket.rate is None:
            return self._full * (bucket.capacity - remaining) // bucket.capacity
        return self._full * (all_at_us - now) * bucket.rate.ticks // bucket.rate.full

    def wait_us(self, key: bytes, level: int, cost: int, now: int) -> int:
        del key, now
        need = cost * self._interval
        # What costs more than the share is possible all the same, if nothing else was.
        return max(0, -(-(level + need - max(self._full, need)) // self._ticks))

    def consume(self, key: bytes, level: int, cost: int, now: int) -> int:
        level += cost * self._interval
        self._memory.states[key] = now * self._ticks + level
        return level

    def tell(self, key: bytes, level: int, now: int) -> Told:
        del key, now
        remaining = max(0, (self._full - level) // self._interval)
        if not level:
            return remaining, 0, 0
        more = level - self._full + (remaining + 1) * self._interval
        return remaining, -(-more // self._ticks), -(-level // self._ticks)


class _MonthShare:
    """An N-th of what Redis last said is left, else of the whole month. Levels are units."""

    def __init__(self, bucket: Bucket, memory: Memory) -> None:
        self._bucket = bucket
        self._memory = memory

    def level(self, key: bytes, now: int) -> int:
        del now
        return self._memory.states.get(key) or 0

    def wait_us(self, key: bytes, level: int, cost: int, now: int) -> int:
        left = self._left(key, now)
        allowance = max(left // self._memory.workers, min(cost, left))
        return 0 if level + cost <= allowance else self._until_end()

    def consume(self, key: bytes, level: int, cost: int, now: int) -> int:
        del now
        self._memory.states[key] = level + cost
        return level + cost

    def tell(self, key: bytes, level: int, now: int) -> Told:
        remaining = max(0, self._left(key, now) // self._memory.workers - level)
        until_end = self._until_end()
        return remaining, until_end, until_end

    def _left(self, key: bytes, now: int) -> int:
        known = self._memory.known_of(key, now)
        return self._bucket.capacity if known is None else known[2]

    def _until_end(self) -> int:
        now_us = self._memory.wall_us()
        now = datetime.fromtimestamp(now_us / MICROSECONDS, UTC)
        year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
        ends = datetime(year, month, 1, tzinfo=UTC)
        return int(ends.timestamp()) * MICROSECONDS - now_us


class _PlacesShare:
    """An N-th of the places; a level is how many requests of the key run in this process."""

    def __init__(self, bucket: Bucket, memory: Memory) -> None:
        self._memory = memory
        self._places = max(1, bucket.capacity // memory.workers)

    def level(self, key: bytes, now: int) -> int:
        del now
        return self._memory.running(key)

    def wait_us(self, key: bytes, level: int, cost: int, now: int) -> int:
        del key, cost, now
        return MICROSECONDS if level >= self._places else 0

    def consume(self, key: bytes, level: int, cost: int, now: int) -> int:
        del key, cost, now
        return level + 1

    def tell(self, key: bytes, level: int, now: int) -> Told:
        del key, now
        return max(0, self._places - level), 0, 0

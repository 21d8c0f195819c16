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
# When requests came, on our steady clock, and what they cost.
Log = list[tuple[int, int]]
# A log has about so many entries; it is kept for fewer buckets than a number is.
_MAX_ENTRIES = 32
_LOGS_PER_STATE = 0.25


class Memory:
    """What a worker knows: what Redis last told, and the state of its own buckets.

    `running` tells how many leases of a key this process holds. Clocks are read in microseconds:
    a steady one, and that of the calendar.
    """

    __slots__ = ("clock_us", "known", "logs", "running", "states", "wall_us", "workers")

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
        self.logs: Recent[bytes, Log] = Recent(int(capacity * _LOGS_PER_STATE) + 1)

    def forget(self) -> None:
        """Forget the state of our own buckets."""
        self.states.clear()
        self.logs.clear()

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
    if bucket.rate is None:
        return _WindowShare(bucket, memory)
    return _RateShare(bucket, bucket.rate, memory)


class _RateShare:
    """GCRA of an N-th of the rate and the burst. Levels are ticks; a state is the TAT in ticks."""

    def __init__(self, bucket: Bucket, rate: Rate, memory: Memory) -> None:
        self._whole = rate
        self._memory = memory
        self._interval = rate.interval * memory.workers
        self._ticks = rate.ticks
        self._full = max(1, bucket.capacity // memory.workers) * self._interval

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
        return self._full * (known[1] - now) * self._whole.ticks // self._whole.full

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


class _WindowShare:
    """A log of an N-th of the amount. Levels are what is used of it."""

    def __init__(self, bucket: Bucket, memory: Memory) -> None:
        self._bucket = bucket
        self._memory = memory
        self._amount = max(1, bucket.amount // memory.workers)
        self._window_us = bucket.window_seconds * MICROSECONDS
        self._slot_us = 1 if self._amount <= _MAX_ENTRIES else self._window_us // _MAX_ENTRIES

    def level(self, key: bytes, now: int) -> int:
        return sum(cost for _, cost in self._log(key, now))

    def _log(self, key: bytes, now: int) -> Log:
        log = self._memory.logs.get(key)
        if log is None:
            log = self._memory.logs[key] = self._log_known(key, now)
        while log and log[0][0] + self._window_us <= now:
            del log[0]
        return log

    def _log_known(self, key: bytes, now: int) -> Log:
        """Return the part of what Redis had counted, as if all had come with the last request."""
        known = self._memory.known_of(key, now)
        if known is None:
            return []
        used = self._bucket.amount - known[2]
        return [(known[1] - self._window_us, used * self._amount // self._bucket.amount)]

    def wait_us(self, key: bytes, level: int, cost: int, now: int) -> int:
        # What costs more than the share is possible all the same, if nothing else was.
        excess = level + cost - max(self._amount, cost)
        for at, gone in self._log(key, now):
            if excess <= 0:
                return 0
            excess -= gone
            if excess <= 0:
                return at + self._window_us - now
        return 0

    def consume(self, key: bytes, level: int, cost: int, now: int) -> int:
        log = self._log(key, now)
        if log and log[-1][0] // self._slot_us == now // self._slot_us:
            # It moves to the latest request: it expires late, never early.
            log[-1] = (now, log[-1][1] + cost)
        elif cost:
            log.append((now, cost))
        return level + cost

    def tell(self, key: bytes, level: int, now: int) -> Told:
        remaining = max(0, self._amount - level)
        log = self._log(key, now)
        if not log:
            return remaining, 0, 0
        return remaining, log[0][0] + self._window_us - now, log[-1][0] + self._window_us - now


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

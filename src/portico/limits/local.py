"""Counting in the memory of one process, while Redis is away.

Each of N workers grants an N-th of every limit, and never less than one request. It starts from
what Redis last told this process, so that an outage is no second burst, and remembers what it has
granted, so that it is charged when Redis is back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from portico.limits.bucket import Bucket, Kind
from portico.limits.demand import Demand
from portico.limits.recent import Recent
from portico.limits.scripts import NUMBERS_OF_BUCKET, NUMBERS_OF_HEAD
from portico.limits.share import Memory, Share, share_of

_MAX_SHARES = 1000


class Owed(NamedTuple):
    """What Redis has to be told: `cost` that was granted here, and the use it knew of before.

    What has an `identity` is charged once, however often it is tried.
    """

    key: bytes
    bucket: Bucket
    cost: int
    floor: int = 0
    identity: bytes = b""

    def identified(self, identity: bytes) -> Owed:
        return self._replace(identity=identity)


class LocalLimits:
    """Decides demands alone, in bounded memory."""

    def __init__(self, memory: Memory, *, max_owed: int) -> None:
        self._memory = memory
        self._max_owed = max_owed
        self._owed: dict[bytes, tuple[Bucket, int]] = {}
        self._shares: Recent[Bucket, Share] = Recent(_MAX_SHARES)
        # Units that were granted and could not be remembered.
        self.forgotten = 0

    def note(self, demand: Demand, numbers: Sequence[int]) -> None:
        """Remember what Redis told."""
        now = self._memory.clock_us()
        known = self._memory.known
        at = NUMBERS_OF_HEAD
        for key, bucket, _ in demand.rows:
            everything = numbers[at + 4]
            if everything:
                known[key] = (bucket, now + everything, numbers[at + 1])
            at += NUMBERS_OF_BUCKET

    def decide(self, demand: Demand, *, consume: bool = True) -> list[int]:
        """Return numbers like those of the script; all buckets are consumed or none."""
        now = self._memory.clock_us()
        rows = demand.rows
        shares = [self._share(bucket) for bucket in demand.buckets]
        levels = [share.level(key, now) for share, key in zip(shares, demand.keys, strict=True)]
        waits = [
            share.wait_us(key, level, cost, now)
            for share, level, (key, _, cost) in zip(shares, levels, rows, strict=True)
        ]
        refused = 2 if demand.never else int(any(waits))
        told = [refused, self._memory.wall_us()]
        for share, level, wait, row in zip(shares, levels, waits, rows, strict=True):
            key, bucket, cost = row
            after = level
            if consume and not refused:
                after = share.consume(key, level, cost, now)
                self._owe(key, bucket, cost)
            never = cost > bucket.capacity
            state, wait_us = (2, 0) if never else (int(wait > 0), wait)
            remaining, more, everything = share.tell(key, after, now)
            told += (state, remaining, wait_us, more, everything)
        return told

    def charge(self, key: bytes, bucket: Bucket, cost: int) -> None:
        """Count what was consumed already, whatever the state is."""
        now = self._memory.clock_us()
        share = self._share(bucket)
        share.consume(key, share.level(key, now), cost, now)
        self._owe(key, bucket, cost)

    def _share(self, bucket: Bucket) -> Share:
        share = self._shares.get(bucket)
        if share is None:
            share = self._shares[bucket] = share_of(bucket, self._memory)
        return share

    # What Redis is told when it is back.

    def _owe(self, key: bytes, bucket: Bucket, cost: int) -> None:
        if bucket.kind is Kind.CONCURRENCY:
            return  # leases are renewed, which tells as much
        owed = self._owed.get(key)
        if owed is None and len(self._owed) >= self._max_owed:
            self.forgotten += cost
            return
        self._owed[key] = (bucket, cost + (0 if owed is None else owed[1]))

    def take_owed(self, batch: int) -> list[Owed]:
        """Take up to `batch` of what was granted here and is not charged."""
        taken: list[Owed] = []
        while self._owed and len(taken) < batch:
            key, (bucket, cost) = self._owed.popitem()
            taken.append(Owed(key, bucket, cost))
        return taken

    def put_back(self, owed: Owed) -> None:
        """Remember again what could not be charged."""
        if owed.cost:
            self._owe(owed.key, owed.bucket, owed.cost)

    def floors(self) -> Iterator[Owed]:
        """Yield the use that Redis knew of: it matters where it has forgotten."""
        now = self._memory.clock_us()
        for key, (bucket, all_at_us, remaining) in self._memory.known.items():
            left = all_at_us - now
            if left > 0:
                used = left * bucket.rate.ticks if bucket.rate else bucket.capacity - remaining
                yield Owed(key, bucket, 0, used)

    def forget(self) -> None:
        """Let the next outage start from what Redis tells by then."""
        self._memory.forget()

    def __repr__(self) -> str:
        return f"<LocalLimits {len(self._memory.states)} buckets, {len(self._owed)} owed>"

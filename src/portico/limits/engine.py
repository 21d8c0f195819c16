"""Where demands are decided: in Redis by one script, and in this process while Redis is away.

When Redis is back it is told, before anyone asks it again, what was granted meanwhile, and what it
had counted before in case it has forgotten. So neither end of an outage is a fresh burst, and a
caller that was quiet is not punished, as it would be if everyone started with a random debt.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, cast

from portico.limits.bucket import Bucket, Kind, Unit
from portico.limits.demand import Demand
from portico.limits.leases import Leases
from portico.limits.local import LocalLimits, Owed
from portico.limits.outage import Outage
from portico.limits.scripts import CHARGE, CHECK, NUMBERS_OF_BUCKET, PEEK
from portico.limits.share import Memory
from portico.limits.verdict import Verdict
from portico.redis.client import RedisClient
from portico.redis.errors import RedisFailure, RedisUnavailable

logger = logging.getLogger("portico.limits")

# Buckets a process remembers, in each of two generations; about 15 MB when all are in use.
_CAPACITY = 20_000
# Charges that are under way at once, when Redis is back; requests are answered in between.
_BATCH = 64
# Charges and returns nobody waits for; more than this would be a queue without end.
_MAX_SPAWNED = 1000


@dataclass(slots=True)
class LimitStatistics:
    """Counts for metrics. `local` are decisions that were made without Redis."""

    allowed: int = 0
    refused: int = 0
    local: int = 0
    closed: int = 0
    dropped: int = 0


class LimitEngine:
    """Decides demands for one process of `workers` that share the limits.

    Without a client the process is alone with them, and no outage.
    """

    def __init__(
        self,
        client: RedisClient | None,
        *,
        workers: int = 1,
        capacity: int = _CAPACITY,
        memory: Memory | None = None,
    ) -> None:
        self._client = client
        self.statistics = LimitStatistics()
        self._tasks: set[asyncio.Task[object]] = set()
        self._leases = Leases(client, self._spawn)
        self._memory = memory or Memory(
            workers=workers, capacity=capacity, running=self._leases.running
        )
        self._local = LocalLimits(self._memory, max_owed=capacity if client else 0)
        self._outage = Outage(self._recover)
        self._process = os.urandom(9).hex().encode()
        self._charges = count()
        # Charges whose answer was lost; they may have been made.
        self._unsure: list[Owed] = []

    @property
    def client(self) -> RedisClient | None:
        return self._client

    @property
    def away(self) -> bool:
        """Return whether Redis is not asked, so that limits hold for each process alone."""
        return self._outage.away

    @property
    def forgotten(self) -> int:
        """Return the units granted in outages for which there was no room to be charged later."""
        return self._local.forgotten

    async def check(self, demand: Demand) -> Verdict:
        """Decide a demand: all its buckets are consumed, or none."""
        client = self._client
        if client is None or self._outage.away or demand.never:
            return self.decide_alone(demand)
        try:
            reply = await client.run(CHECK, demand.keys, [demand.argument])
        except RedisFailure as failure:
            return self.failed(demand, failure)
        except asyncio.CancelledError:
            self.abandon(demand)
            raise
        return self.read(demand, cast(Sequence[int], reply))

    async def peek(self, demand: Demand) -> Verdict:
        """Return what `check` would decide, and consume nothing."""
        client = self._client
        if client is not None and not self._outage.away and not demand.never:
            try:
                reply = await client.run(PEEK, demand.keys, [demand.argument], repeatable=True)
            except RedisFailure as failure:
                self._begin_outage(failure)
            else:
                return Verdict(demand, cast(Sequence[int], reply))
        return self.peek_alone(demand)

    def peek_alone(self, demand: Demand) -> Verdict:
        """Return what this process alone would decide, and consume nothing."""
        numbers = self._local.decide(demand, consume=False)
        return Verdict(demand, numbers, is_local=self._client is not None)

    # For an admission script that takes in limits.lua.

    def read(self, demand: Demand, numbers: Sequence[int]) -> Verdict:
        """Return the verdict that `limits_tell` told, after `limits_commit` if it was called."""
        verdict = Verdict(demand, numbers)
        self._local.note(demand, numbers)
        return self._settle(verdict)

    def failed(self, demand: Demand, failure: RedisFailure) -> Verdict:
        """Return the verdict of a demand that Redis did not answer; others do not ask it then."""
        self._begin_outage(failure)
        verdict = self.decide_alone(demand)
        if not verdict.allowed:
            # Redis may have granted places all the same.
            self.abandon(demand)
        return verdict

    def decide_alone(self, demand: Demand) -> Verdict:
        """Return the verdict of this process alone."""
        if self._client is None or demand.never:
            return self._settle(Verdict(demand, self._local.decide(demand)))
        closed = demand.closed()
        if closed:
            self.statistics.closed += 1
            head, each = [1, self._memory.wall_us()], [0] * NUMBERS_OF_BUCKET
            numbers = head + each * len(demand.buckets)
            return Verdict(demand, numbers, is_local=True, closed=closed)
        self.statistics.local += 1
        return self._settle(Verdict(demand, self._local.decide(demand), is_local=True))

    def abandon(self, demand: Demand) -> None:
        """Give back what Redis may have leased to a request that did not wait for the answer."""
        if demand.leases:
            self._leases.release(demand.leases)

    def _settle(self, verdict: Verdict) -> Verdict:
        if verdict.numbers[0]:
            self.statistics.refused += 1
            return verdict
        self.statistics.allowed += 1
        leases = verdict.demand.leases
        if leases:
            self._leases.hold(leases)
            verdict.on_release(lambda: self._leases.release(leases))
        return verdict

    def _begin_outage(self, failure: RedisFailure) -> None:
        if isinstance(failure, RedisUnavailable):
            self._outage.begin(failure)
        else:
            # Redis is there and does not do what the script says: others may be luckier.
            logger.error("limits could not be counted: %s", failure)

    # What is known only afterwards.

    def charge(self, demand: Demand, costs: Mapping[str, int]) -> None:
        """Charge what a request turned out to cost, by the names of limits; nobody waits for it."""
        for key, bucket in zip(demand.keys, demand.buckets, strict=True):
            cost = costs.get(bucket.name, 0)
            if cost > 0 and bucket.kind is not Kind.CONCURRENCY:
                self._charge_later(key, bucket, cost)

    def charge_bytes(self, demand: Demand, size: int) -> None:
        """Charge the bytes of a response to the limits that count content."""
        for key, bucket in zip(demand.keys, demand.buckets, strict=True):
            if size > 0 and bucket.unit is Unit.CONTENT_BYTES:
                self._charge_later(key, bucket, size)

    def _charge_later(self, key: bytes, bucket: Bucket, cost: int) -> None:
        if self._client is None or self._outage.away:
            self._local.charge(key, bucket, cost)
        else:
            self._spawn(self._charge_or_owe(Owed(key, bucket, cost)))

    async def _charge_or_owe(self, owed: Owed) -> None:
        try:
            await self._charge(owed)
        except RedisUnavailable as failure:
            self._begin_outage(failure)
            if owed.identity:
                self._unsure.append(owed)
            elif not failure.sent:
                self._local.put_back(owed)

    async def _charge(self, owed: Owed) -> None:
        """Consume in Redis whatever the state is. Raises RedisFailure."""
        if self._client is None:
            return
        marker = owed.key + b":" + owed.identity if owed.identity else owed.key
        asked = b"%b %d" % (owed.bucket.words, owed.cost)
        repeatable = bool(owed.identity) or not owed.cost
        await self._client.run(
            CHARGE, [owed.key, marker], [asked, owed.floor, owed.identity], repeatable=repeatable
        )

    # When Redis is back.

    async def _recover(self) -> None:
        if self._client is None:
            return
        await self._client.execute(b"PING", repeatable=True)
        await self._leases.renew()
        floors = self._local.floors()
        while batch := list(islice(floors, _BATCH)):
            await self._charge_all(batch)
        unsure, self._unsure = self._unsure, []
        await self._charge_all(unsure)
        is_full = True
        while is_full:
            # Awaited also where it is few: a server that does not know the script yet sends a
            # charge on a detour, and what was sent after it would overtake it there.
            owed = self._take_owed()
            await self._charge_all(owed)
            is_full = len(owed) == _BATCH
        last = self._take_owed()
        self._local.forget()
        # Requests never pause, so a last few are always owed: they go ahead of what comes next.
        for each in last:
            self._spawn(self._charge_or_owe(each))

    def _take_owed(self) -> list[Owed]:
        """Take what is owed; each has an identity, so that it is charged once."""
        owed = self._local.take_owed(_BATCH)
        return [each.identified(b"%s-%d" % (self._process, next(self._charges))) for each in owed]

    async def _charge_all(self, batch: Sequence[Owed]) -> None:
        results = await asyncio.gather(*map(self._charge, batch), return_exceptions=True)
        for owed, result in zip(batch, results, strict=True):
            if isinstance(result, RedisUnavailable) and owed.identity:
                self._unsure.append(owed)
            elif isinstance(result, RedisFailure):
                logger.error("a limit could not be charged: %s", result)
        for result in results:
            if isinstance(result, RedisUnavailable) or not isinstance(result, RedisFailure | None):
                raise result

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        if len(self._tasks) >= _MAX_SPAWNED:
            work.close()
            self.statistics.dropped += 1
            return
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait for what nobody waits for: charges and leases that are given back."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """End what runs in the background; the client stays open."""
        await self._leases.close()
        await self._outage.close()
        await self.settled()

    def __repr__(self) -> str:
        return f"<LimitEngine {self._outage!r} {self._local!r} {self.statistics}>"


async def _quietly(work: Awaitable[object]) -> None:
    """Do what nobody waits for; what it was about ends by itself where it fails."""
    try:
        await work
    except RedisFailure as failure:
        logger.debug("a lease could not be given back: %s", failure)

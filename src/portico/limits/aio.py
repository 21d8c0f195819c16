"""Strategies and storage of the limits package, answered by the script or by this process.

They are what slowapi and limits know as a rate limiter and a storage; none of them blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import RateLimiter
from limits.storage import StorageTypes
from limits.util import WindowStats

from portico.limits.bucket import MICROSECONDS, Bucket, Outage, Per, Unit, gcra, window
from portico.limits.demand import SHARED_TAG, Demand, KeySpace, policy_field
from portico.limits.engine import LimitEngine
from portico.limits.scripts import ENDS, INCREMENT
from portico.limits.verdict import Verdict
from portico.redis.client import RedisClient
from portico.redis.errors import RedisFailure


class Wanted(NamedTuple):
    """A limit of slowapi or limits, whose it is, and what it costs."""

    item: RateLimitItem
    identifiers: tuple[str, ...]
    cost: int


class PorticoStorage(Storage):
    """A storage of limits over an engine. Its counters serve limits' own fixed windows."""

    STORAGE_SCHEME = None

    def __init__(self, engine: LimitEngine, keys: KeySpace | None = None) -> None:
        super().__init__()
        self.engine = engine
        self.keys = keys or KeySpace()

    @property
    def base_exceptions(self) -> type[Exception]:
        return RedisFailure

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        reply = await self._client.run(INCREMENT, [key.encode()], [expiry, amount])
        return cast(int, reply)

    async def get(self, key: str) -> int:
        reply = await self._client.execute(b"GET", key, repeatable=True)
        return int(cast(bytes, reply or b"0"))

    async def get_expiry(self, key: str) -> float:
        reply = await self._client.run(ENDS, [key.encode()], [], repeatable=True)
        return float(cast(int, reply))

    async def check(self) -> bool:
        return not self.engine.away

    async def reset(self) -> int | None:
        raise NotImplementedError("limits of all callers are not reset at once")

    async def clear(self, key: str) -> None:
        await self._client.execute(b"DEL", key, repeatable=True)

    @property
    def _client(self) -> RedisClient:
        client = self.engine.client
        if client is None:
            raise NotImplementedError("the counters are in Redis, and the engine has no client")
        return client


class ScriptedRateLimiter(RateLimiter):
    """A strategy of limits whose every question is one run of the script."""

    def __init__(self, storage: StorageTypes) -> None:
        super().__init__(storage)
        if not isinstance(storage, PorticoStorage):
            raise TypeError(f"expected a PorticoStorage, found {type(storage).__name__}")
        self._storage = storage

    def bucket(self, item: RateLimitItem) -> Bucket:
        raise NotImplementedError

    def demand(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> Demand:
        """Return the demand of one limit."""
        return self.demand_all([Wanted(item, identifiers, cost)])

    def demand_all(self, wanted: Sequence[Wanted]) -> Demand:
        """Return one demand of several limits: all are consumed, or none."""
        buckets = tuple(self.bucket(each.item) for each in wanted)
        keys = tuple(
            self._storage.keys.name(bucket, each.item.key_for(*each.identifiers), SHARED_TAG)
            for bucket, each in zip(buckets, wanted, strict=True)
        )
        costs = tuple(each.cost for each in wanted)
        return Demand(buckets, keys, costs, policy_field(buckets))

    async def decide(self, demand: Demand) -> Verdict:
        return await self._storage.engine.check(demand)

    async def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return (await self.decide(self.demand(item, *identifiers, cost=cost))).allowed

    async def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        demand = self.demand(item, *identifiers, cost=cost)
        return (await self._storage.engine.peek(demand)).allowed

    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        verdict = await self._storage.engine.peek(self.demand(item, *identifiers, cost=0))
        (standing,) = verdict.standings()
        reset_at = verdict.now_us / MICROSECONDS + standing.more_seconds
        return WindowStats(reset_at, standing.remaining)

    async def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        (key,) = self.demand(item, *identifiers).keys
        await self._storage.clear(key.decode())


class GCRARateLimiter(ScriptedRateLimiter):
    """A burst of the amount, which refills steadily."""

    def bucket(self, item: RateLimitItem) -> Bucket:
        return _gcra_bucket(item)


class WindowRateLimiter(ScriptedRateLimiter):
    """Never more than the amount in any span of the window."""

    def bucket(self, item: RateLimitItem) -> Bucket:
        return _window_bucket(item)


STRATEGIES: dict[str, type[ScriptedRateLimiter]] = {
    "gcra": GCRARateLimiter,
    "window": WindowRateLimiter,
}


def item_name(item: RateLimitItem) -> str:
    """Return what a limit without a name is called: `5-per-1-minute`."""
    return f"{item.amount}-per-{item.multiples}-{item.GRANULARITY.name}"


@lru_cache(maxsize=1000)
def _gcra_bucket(item: RateLimitItem) -> Bucket:
    return gcra(
        item_name(item),
        item.amount,
        item.get_expiry(),
        item.amount,
        per=Per.CLIENT,
        unit=Unit.REQUESTS,
        outage=Outage.LOCAL,
    )


@lru_cache(maxsize=1000)
def _window_bucket(item: RateLimitItem) -> Bucket:
    return window(
        item_name(item),
        item.amount,
        item.get_expiry(),
        per=Per.CLIENT,
        unit=Unit.REQUESTS,
        outage=Outage.LOCAL,
    )

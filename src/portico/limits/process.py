"""The same strategies for synchronous callers, in the memory of this process."""

from __future__ import annotations

import time
from collections.abc import Callable

from limits import RateLimitItem
from limits.storage import Storage
from limits.strategies import RateLimiter
from limits.util import WindowStats

from portico.limits.aio import ScriptedRateLimiter
from portico.limits.bucket import MICROSECONDS
from portico.limits.engine import LimitEngine
from portico.limits.recent import Recent

_CAPACITY = 10_000


class ProcessStorage(Storage):
    """Bounded counters for limits' own fixed windows; the strategy below does without them.

    limits' memory storage starts threads and keeps every key it is asked for.
    """

    STORAGE_SCHEME: list[str] | None = ["portico-process"]  # noqa: RUF012 as limits declares it

    def __init__(
        self,
        uri: str | None = None,
        *,
        capacity: int = _CAPACITY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(uri)
        self._clock = clock
        self._counters: Recent[str, tuple[int, float]] = Recent(capacity)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        count, ends = self._live(key)
        self._counters[key] = (count + amount, ends if count else self._clock() + expiry)
        return count + amount

    def get(self, key: str) -> int:
        return self._live(key)[0]

    def get_expiry(self, key: str) -> float:
        count, ends = self._live(key)
        return ends if count else self._clock()

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        count = len(self._counters)
        self._counters.clear()
        return count

    def clear(self, key: str) -> None:
        self._counters[key] = (0, 0.0)

    def _live(self, key: str) -> tuple[int, float]:
        counter = self._counters.get(key)
        return counter if counter is not None and counter[1] > self._clock() else (0, 0.0)


class ProcessRateLimiter(RateLimiter):
    """A strategy of limits over the memory that an engine falls back to."""

    def __init__(
        self, storage: Storage, strategy: ScriptedRateLimiter, engine: LimitEngine
    ) -> None:
        super().__init__(storage)
        self._strategy = strategy
        self._engine = engine

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        demand = self._strategy.demand(item, *identifiers, cost=cost)
        return self._engine.decide_alone(demand).allowed

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        demand = self._strategy.demand(item, *identifiers, cost=cost)
        return self._engine.peek_alone(demand).allowed

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        verdict = self._engine.peek_alone(self._strategy.demand(item, *identifiers, cost=0))
        (standing,) = verdict.standings()
        reset_at = verdict.now_us / MICROSECONDS + standing.more_seconds
        return WindowStats(reset_at, standing.remaining)

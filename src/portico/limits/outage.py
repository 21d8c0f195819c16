"""From the first failure of Redis until it is back and has been told what happened meanwhile."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from time import monotonic

from portico.redis.errors import RedisFailure

logger = logging.getLogger("portico.limits")

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0


class Outage:
    """A breaker: while `away`, no request waits for Redis; one task finds out when it is back.

    `recover` tries Redis, tells it what it has missed and says so by returning. It raises
    RedisFailure while Redis is away.
    """

    __slots__ = ("_recover", "_since", "_task", "away", "count")

    def __init__(self, recover: Callable[[], Awaitable[None]]) -> None:
        self._recover = recover
        self._since = 0.0
        self._task: asyncio.Task[None] | None = None
        self.away = False
        # How many there were.
        self.count = 0

    def begin(self, failure: RedisFailure) -> None:
        """Count alone from now on; several requests find out at once."""
        if self.away:
            return
        logger.warning("limits are counted in each process alone: %s", failure)
        self.away = True
        self.count += 1
        self._since = monotonic()
        self._task = asyncio.get_running_loop().create_task(self._end())

    @property
    def seconds(self) -> float:
        """Return how long it has lasted, 0 where there is none."""
        return monotonic() - self._since if self.away else 0.0

    async def _end(self) -> None:
        pause = _FIRST_SECONDS
        while self.away:
            # Workers must not all come back in one instant.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _LONGEST_SECONDS)
            try:
                await self._recover()
            except RedisFailure:
                continue
            except Exception:
                # The guard of this task: without it limits would be local until a restart.
                logger.exception("limits could not be made exact again")
                continue
            logger.warning("limits are exact again after %.1f s", self.seconds)
            # Nothing is awaited since the last look at what is owed.
            self.away = False

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def __repr__(self) -> str:
        return f"<Outage for {self.seconds:.1f} s>" if self.away else "<Outage over>"

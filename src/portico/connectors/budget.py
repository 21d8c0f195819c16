"""What one credential may use of a system: requests in a time, and requests at once.

Counted in this process. Processes that share a credential divide its limits among them in their
settings; what is asked beyond a limit all the same, the system refuses with 429, which is heeded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from portico.connectors.failures import OutOfTimeError, ThrottledError
from portico.deadline import Deadline

# A wait that a system asks for is kept up to this, so that none can shut us out for long.
MAX_PAUSE_SECONDS = 300.0
# Whoever finds so many before it would wait too long.
MAX_WAITING = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many requests in any so many seconds."""

    count: int
    seconds: float


class Budget:
    """Lets requests begin in their turn, within the rates and the number at once."""

    __slots__ = ("_clock", "_logs", "_paused_until", "_places", "_system", "_waiting")

    def __init__(
        self,
        *,
        system: str,
        concurrent: int,
        rates: Sequence[Rate] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._system = system
        self._clock = clock
        self._places = asyncio.Semaphore(concurrent)
        # When the last `count` requests began: exact in any window, which a leaky bucket is not.
        self._logs = [(rate, deque[float](maxlen=rate.count)) for rate in rates]
        self._paused_until = 0.0
        self._waiting = 0

    @asynccontextmanager
    async def spend(self, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for the turn of a request and hold its place; raises ThrottledError."""
        if self._waiting >= MAX_WAITING:
            raise ThrottledError(f"too many requests wait for {self._system}", system=self._system)
        self._waiting += 1
        try:
            await self._take_place(deadline)
        finally:
            self._waiting -= 1
        try:
            # Only a request that holds a place takes a turn, so that none is wasted on waiting.
            await asyncio.sleep(self._take_turn(deadline.remaining()))
            yield
        finally:
            self._places.release()

    def pause(self, seconds: float) -> None:
        """Begin no request for some time, because the system asked for it."""
        until = self._clock() + min(seconds, MAX_PAUSE_SECONDS)
        self._paused_until = max(self._paused_until, until)

    async def _take_place(self, deadline: Deadline) -> None:
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining())):
                await self._places.acquire()
        except TimeoutError as error:
            raise OutOfTimeError(
                f"every place at {self._system} was in use", system=self._system
            ) from error

    def _take_turn(self, remaining: float) -> float:
        """Return the seconds until the next request may begin, and count it."""
        now = self._clock()
        begins = max([now, self._paused_until, *self._earliest()])
        if begins > now and begins - now >= remaining:
            raise ThrottledError(
                f"the limit of {self._system} is reached",
                system=self._system,
                retry_after_seconds=begins - now,
            )
        for _, log in self._logs:
            log.append(begins)
        return begins - now

    def _earliest(self) -> list[float]:
        return [log[0] + rate.seconds for rate, log in self._logs if len(log) == rate.count]

    def __repr__(self) -> str:
        paused = self._paused_until > self._clock()
        return f"<Budget {self._system} {self._waiting} waiting{', paused' if paused else ''}>"

"""A bounded number of places, and a bounded queue for them."""

from __future__ import annotations

import asyncio
from collections import deque

import httpx


class Slots:
    """The connections an upstream may use at once; the first to wait is the first served."""

    __slots__ = ("_free", "_limit", "_max_waiting", "_waiting")

    def __init__(self, limit: int, *, max_waiting: int) -> None:
        self._limit = limit
        self._free = limit
        self._max_waiting = max_waiting
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Slots {self._limit - self._free} of {self._limit}, {len(self._waiting)} waiting>"

    def take(self) -> bool:
        """Take a place if one is free. While somebody waits, none is."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def wait(self, seconds: float) -> None:
        """Take the next place; raise PoolTimeout if the queue is full or none comes in time."""
        if len(self._waiting) >= self._max_waiting:
            raise httpx.PoolTimeout("too many requests wait for a connection")
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(seconds):
                await place
        except TimeoutError as exc:
            self._withdraw(place)
            raise httpx.PoolTimeout("no connection became free in time") from exc
        except BaseException:
            self._withdraw(place)
            raise

    def _withdraw(self, place: asyncio.Future[None]) -> None:
        if place.done() and not place.cancelled():
            # It was given at the moment in which the wait ended.
            self.give_back()
        elif place in self._waiting:
            self._waiting.remove(place)

    def give_back(self) -> None:
        """Give a place back, to the one who has waited longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

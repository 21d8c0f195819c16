"""Waiting for an attempt that is running, without asking the store once for every waiter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_GROWTH = 1.7

# Tells in how many seconds a lease ends, 0 when nobody holds one; raises RedisFailure.
Peek = Callable[[bytes], Awaitable[float]]


class _Vigil:
    """Those of this process who wait for one record: one of them asks for all."""

    __slots__ = ("changed", "task", "waiting")

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.waiting = 0
        self.task: asyncio.Task[None] | None = None


class Waiters:
    """Waits for records to change; at most `limit` requests at once."""

    def __init__(self, peek: Peek, *, limit: int) -> None:
        self._peek = peek
        self._limit = limit
        self._vigils: dict[bytes, _Vigil] = {}
        self.count = 0

    async def wait(self, record_name: bytes, seconds: float) -> bool:
        """Return True once the record may have changed, False when time or space has run out."""
        if self.count >= self._limit or seconds <= 0:
            return False
        vigil = self._vigils.get(record_name)
        if vigil is None:
            vigil = self._vigils[record_name] = _Vigil()
            vigil.task = asyncio.create_task(self._watch(record_name, vigil))
        self.count += 1
        vigil.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await vigil.changed.wait()
        except TimeoutError:
            return False
        finally:
            self.count -= 1
            vigil.waiting -= 1
            if not vigil.waiting:
                self._end(record_name, vigil)
        return True

    def wake(self, record_name: bytes) -> None:
        """Note that a record has changed, as this process knows first-hand."""
        if not self._vigils:
            return
        vigil = self._vigils.get(record_name)
        if vigil is not None:
            self._end(record_name, vigil)
            vigil.changed.set()

    def _end(self, record_name: bytes, vigil: _Vigil) -> None:
        if self._vigils.get(record_name) is vigil:
            del self._vigils[record_name]
        if vigil.task is not None and vigil.task is not asyncio.current_task():
            vigil.task.cancel()

    async def _watch(self, record_name: bytes, vigil: _Vigil) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))
            pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
            with suppress(OSError):
                if await self._peek(record_name) > 0:
                    continue
            self._end(record_name, vigil)
            vigil.changed.set()
            return

"""One at a time for each name: the order in which calls of this process may do the same thing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable


class Turns:
    """Locks by name, forgotten as soon as nobody holds or awaits them."""

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, name: Hashable) -> AsyncIterator[None]:
        """Wait for the turn of a name and keep it."""
        lock, interested = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = (lock, interested + 1)
        try:
            async with lock:
                yield
        finally:
            self._leave(name)

    def _leave(self, name: Hashable) -> None:
        lock, interested = self._locks[name]
        if interested == 1:
            del self._locks[name]
        else:
            self._locks[name] = (lock, interested - 1)

    def __repr__(self) -> str:
        return f"<Turns {len(self._locks)} names>"

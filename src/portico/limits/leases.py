"""Places among the requests that run at once, held while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import monotonic
from typing import Any

from portico.limits.bucket import MICROSECONDS
from portico.limits.demand import LeaseAsked
from portico.limits.scripts import RELEASE, RENEW
from portico.redis.client import RedisClient
from portico.redis.errors import RedisFailure

_RENEWALS_PER_LEASE = 3
# Leases are a second and longer; a look this often finds each in time.
_LOOK_SECONDS = 0.25
# How many leases one script renews; a script must not hold up the server.
_BATCH = 500


class _Held:
    """The leases of one bucket."""

    __slots__ = ("identities", "renewed_at", "seconds")

    def __init__(self, seconds: float) -> None:
        self.identities: set[bytes] = set()
        self.seconds = seconds
        self.renewed_at = monotonic()


class Leases:
    """The leases that requests of this process hold.

    They are renewed while they are held and given back once. A renewal or a return that does not
    arrive is made up for by time: the lease ends by itself.
    """

    def __init__(
        self,
        client: RedisClient | None,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
    ) -> None:
        self._client = client
        self._spawn = spawn
        self._held: dict[bytes, _Held] = {}
        self._keeping: asyncio.Task[None] | None = None

    def running(self, key: bytes) -> int:
        """Return how many leases of a bucket are held here."""
        held = self._held.get(key)
        return 0 if held is None else len(held.identities)

    def hold(self, leases: Sequence[LeaseAsked]) -> None:
        for lease in leases:
            held = self._held.get(lease.key)
            if held is None:
                held = self._held[lease.key] = _Held(lease.seconds)
            held.identities.add(lease.id)
        if self._client is not None and self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_task(self._keep())

    def release(self, leases: Iterable[LeaseAsked]) -> None:
        """Give leases back; those that were never held here too, for Redis may have them."""
        for lease in leases:
            held = self._held.get(lease.key)
            if held is not None:
                held.identities.discard(lease.id)
                if not held.identities:
                    del self._held[lease.key]
            if self._client is not None:
                self._spawn(self._client.run(RELEASE, [lease.key], [lease.id], repeatable=True))

    async def renew(self, *, due_only: bool = False) -> None:
        """Renew what is held. Raises RedisFailure."""
        now = monotonic()
        for key, held in list(self._held.items()):
            if due_only and now - held.renewed_at < held.seconds / _RENEWALS_PER_LEASE:
                continue
            await self._renew(key, held)

    async def _renew(self, key: bytes, held: _Held) -> None:
        if self._client is None:
            return
        lease_us = int(held.seconds * MICROSECONDS)
        identities = list(held.identities)
        for start in range(0, len(identities), _BATCH):
            # Those that ended meanwhile are not brought back.
            live = held.identities.intersection(identities[start : start + _BATCH])
            if live:
                await self._client.run(RENEW, [key], [lease_us, *live], repeatable=True)
        held.renewed_at = monotonic()

    async def _keep(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(_LOOK_SECONDS)
                try:
                    await self.renew(due_only=True)
                except RedisFailure:
                    continue  # the next look tries again, and a recovery renews first
        finally:
            self._keeping = None

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    def __repr__(self) -> str:
        return f"<Leases of {len(self._held)} buckets>"

"""Access tokens that ended before their time: known to every process within a moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.identity.revocation import CHANNEL, revocation_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.redis.client import RedisClient

# A verifier's clock may be behind ours by as much as it tolerates.
_SKEW_SECONDS = 60


class Revocations:
    """Writes `portico:revoked:{jti}` until the token would have expired, and tells of it."""

    __slots__ = ("_clock", "_redis")

    def __init__(self, redis: RedisClient, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def revoke(self, token_id: str, expires_at: float) -> None:
        """End a token for everyone. Raises RedisFailure."""
        left_ms = int((expires_at - self._clock() + _SKEW_SECONDS) * 1000)
        if left_ms <= 0:
            return
        # Kept first: who hears of it may look.
        await self._redis.execute("SET", revocation_key(token_id), b"1", "PX", left_ms)
        await self._redis.execute("PUBLISH", CHANNEL, token_id)

    async def is_revoked(self, token_id: str) -> bool:
        """Tell whether a token has ended. Raises RedisFailure."""
        found = await self._redis.execute("EXISTS", revocation_key(token_id), repeatable=True)
        return found == 1

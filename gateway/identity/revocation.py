"""Access tokens that ended before their time, known to every worker within a second.

Whoever revokes a token writes its key, which lasts as long as the token would have, and publishes
its id. Each worker listens; after an outage, and when it has heard of more than it keeps, it
forgets the tokens it had verified, and each is looked up in Redis once before it counts again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from portico.redis.errors import RedisFailure
from portico.redis.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.redis.client import RedisClient

REVOKED_KEY = "portico:revoked:{%s}"
CHANNEL = "portico:revoked"

# Tells a script of one's own whether a token is revoked: `revocation_look(KEYS[n])`, where KEYS[n]
# is `revocation_key`. It only reads. In a cluster the key has a slot of its own, so that a script
# with other keys cannot look at it there.
REVOCATION_FUNCTIONS = """
local function revocation_look(key) return redis.call('EXISTS', key) == 1 end
"""

# Ids that are remembered by a worker: about 2 MB, and more than are revoked in a minute.
_CAPACITY = 10_000
# A token that is looked up in Redis waits no longer for it than this.
LOOKUP_SECONDS = 0.5

_log = logging.getLogger(__name__)


def revocation_key(token_id: str) -> bytes:
    """Return the key that exists while the token of this id is revoked."""
    return (REVOKED_KEY % token_id).encode()


class Revocations:
    """What this worker knows of revoked tokens.

    `forget` is called when tokens that were verified before have to be looked up again.
    """

    __slots__ = ("_capacity", "_forget", "_known", "_redis", "_warned", "stale")

    def __init__(
        self,
        redis: RedisClient,
        *,
        forget: Callable[[], None],
        capacity: int = _CAPACITY,
    ) -> None:
        self._redis = redis
        self._forget = forget
        self._capacity = capacity
        self._known: set[str] = set()
        # Whether what other workers revoke may be unknown here at the moment.
        self.stale = True
        self._warned = False

    def knows(self, token_id: str) -> bool:
        """Tell whether this worker has heard that the token is revoked."""
        return token_id in self._known

    async def find(self, token_id: str) -> bool:
        """Tell whether a token is revoked, asking Redis.

        While Redis is away a token counts by its signature and for as long as it lasts, which is
        minutes: no API stops with Redis. `stale` says so.
        """
        if token_id in self._known:
            return True
        try:
            found = await self._redis.execute(
                "EXISTS",
                revocation_key(token_id),
                timeout_seconds=LOOKUP_SECONDS,
                repeatable=True,
            )
        except RedisFailure as failure:
            _log.warning("a token was not looked up among the revoked ones: %s", failure)
            return False
        # It may have been revoked and heard of while Redis answered.
        return found == 1 or token_id in self._known

    async def listen(self) -> None:
        """Follow what is published until cancelled."""
        await Subscription(
            self._redis, CHANNEL, heard=self._heard, joined=self._joined, lost=self._lost
        ).run()

    def _heard(self, message: bytes) -> None:
        self.note(message.decode("utf-8", "replace"))

    def note(self, token_id: str) -> None:
        """Take note of a token that is revoked."""
        if len(self._known) >= self._capacity:
            # What was verified before is looked up once more, so that nothing has to be kept.
            self._known.clear()
            self._forget()
        self._known.add(token_id)

    def _joined(self) -> None:
        # Nobody knows what was published before.
        self._forget()
        if self._warned:
            _log.warning("tokens that others revoke are heard of again")
        self.stale = self._warned = False

    def _lost(self) -> None:
        if not self._warned:
            _log.warning("tokens that others revoke are not heard of until redis is back")
        self.stale = self._warned = True

    def __repr__(self) -> str:
        return f"<Revocations {len(self._known)} heard{', stale' if self.stale else ''}>"

"""Hearing what is published on a channel, and knowing when something may have been missed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import redis.exceptions as theirs
from redis.asyncio.connection import AbstractConnection

from portico.redis.connect import part_from
from portico.redis.errors import RedisUnavailable

if TYPE_CHECKING:
    from portico.redis.client import RedisClient

logger = logging.getLogger("portico.redis")

# A connection that lived shorter than this counts as a failed attempt.
_SHORT_LIFE_SECONDS = 1.0


class Subscription:
    """One channel over a connection of its own, which is replaced when it breaks.

    `joined` is called each time the server has confirmed the subscription: what was published
    before that was not heard. `lost` is called when the connection breaks, `heard` with each
    message. All three return at once.
    """

    def __init__(
        self,
        client: RedisClient,
        channel: str,
        *,
        heard: Callable[[bytes], None],
        joined: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._client = client
        self._channel = channel
        self._heard = heard
        self._joined = joined
        self._lost = lost

    async def run(self) -> None:
        """Listen until cancelled."""
        options = self._client.options
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await self._listen()
            except (RedisUnavailable, theirs.RedisError, OSError, RuntimeError) as trouble:
                # RuntimeError is what uvloop raises where the connection is closed already.
                logger.debug("the subscription to %s is lost: %s", self._channel, trouble)
            except Exception:  # it outlives a mistake of ours, and tells of it
                logger.exception("the subscription to %s failed", self._channel)
            self._lost()
            failures = 0 if loop.time() - started > _SHORT_LIFE_SECONDS else failures + 1
            doubled = options.first_retry_seconds * 2.0 ** min(failures, 30)
            await asyncio.sleep(min(options.max_retry_seconds, doubled) * random.uniform(0.5, 1.0))

    async def _listen(self) -> None:
        """Hear messages until the connection breaks or leads to the wrong server."""
        connector = self._client.connector()
        try:
            connection = await connector.connect()
            try:
                await connection.send_command("SUBSCRIBE", self._channel, check_health=False)
                while await self._hear(connection):
                    if await connector.is_elsewhere():
                        return
            finally:
                await part_from(connection)
        finally:
            await connector.close()

    async def _hear(self, connection: AbstractConnection) -> bool:
        """Take what arrives until it is quiet for a while; return whether the server lives."""
        while (reply := await self._read(connection)) is not None:
            self._take(reply)
        await connection.send_command("PING", check_health=False)
        reply = await self._read(connection)
        if reply is not None:
            self._take(reply)
        return reply is not None

    async def _read(self, connection: AbstractConnection) -> object | None:
        reply: object | None = await connection.read_response(
            timeout=self._client.options.heartbeat_seconds,
            disconnect_on_error=False,
            push_request=True,
        )
        return reply

    def _take(self, reply: object) -> None:
        match reply:
            case [b"subscribe", *_]:
                self._joined()
            case [b"message", _, bytes(message)]:
                self._heard(message)

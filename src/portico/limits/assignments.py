"""Which client has which plan, kept in Redis and followed by every process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from portico.redis.client import RedisClient
from portico.redis.errors import RedisFailure

logger = logging.getLogger("portico.limits")


class Assignments:
    """The plan of each client: from the configuration, unless an operator has assigned another.

    A change holds in all processes within `refresh_seconds`. While Redis is away the last known
    answers stay.
    """

    def __init__(
        self,
        client: RedisClient,
        configured: dict[str, str] | None = None,
        *,
        prefix: str = "portico",
        refresh_seconds: float = 2.0,
    ) -> None:
        self._client = client
        self._key = f"{prefix}:plans"
        self._refresh_seconds = refresh_seconds
        self._assigned: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        # May be replaced when the configuration is.
        self.configured = configured or {}

    @property
    def assigned(self) -> Mapping[str, str]:
        """Return what operators have assigned, as last read."""
        return self._assigned

    def plan_of(self, client_id: str) -> str | None:
        return self._assigned.get(client_id) or self.configured.get(client_id)

    async def assign(self, client_id: str, plan: str) -> None:
        """Give a client a plan. Raises RedisFailure."""
        await self._client.execute(b"HSET", self._key, client_id, plan, repeatable=True)
        self._assigned[client_id] = plan

    async def withdraw(self, client_id: str) -> None:
        """Let the configuration decide again. Raises RedisFailure."""
        await self._client.execute(b"HDEL", self._key, client_id, repeatable=True)
        self._assigned.pop(client_id, None)

    async def refresh(self) -> None:
        """Read what is assigned. Raises RedisFailure."""
        reply = await self._client.execute(b"HGETALL", self._key, repeatable=True)
        if isinstance(reply, dict):
            self._assigned = {_text(client): _text(plan) for client, plan in reply.items()}

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._follow())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while True:
            try:
                await self.refresh()
            except RedisFailure as failure:
                logger.debug("the plans of clients are those last known: %s", failure)
            await asyncio.sleep(self._refresh_seconds)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

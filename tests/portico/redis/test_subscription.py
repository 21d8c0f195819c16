"""What is published is heard, and whoever listens knows when something may have been missed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from portico.redis.subscription import Subscription
from tests.portico.redis.servers import QUICK, opened, until
from tests.portico.redis.test_cluster import shared, trio  # noqa: F401  # fixtures
from tests.portico.redis.test_sentinel import watched  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.redis.client import RedisClient
    from tests.portico.redis.byte_proxy import ByteProxy
    from tests.portico.redis.servers import Server
    from tests.portico.redis.test_cluster import Trio
    from tests.portico.redis.test_sentinel import Watched

pytestmark = pytest.mark.anyio
CHANNEL = "news"


@dataclass
class Listener:
    """Keeps what it is told, in order."""

    told: list[str] = field(default_factory=list)

    def heard(self, message: bytes) -> None:
        self.told.append(message.decode())

    def joined(self) -> None:
        self.told.append("(joined)")

    def lost(self) -> None:
        self.told.append("(lost)")


@contextlib.asynccontextmanager
async def listening(client: RedisClient) -> AsyncIterator[Listener]:
    listener = Listener()
    subscription = Subscription(
        client, CHANNEL, heard=listener.heard, joined=listener.joined, lost=listener.lost
    )
    task = asyncio.create_task(subscription.run())
    try:
        await until(lambda: "(joined)" in listener.told)
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_messages_are_heard_in_their_order(client: RedisClient) -> None:
    async with listening(client) as listener:
        for number in range(100):
            await client.execute("PUBLISH", CHANNEL, number)
        await client.execute("PUBLISH", "another", "channel")
        await until(lambda: len(listener.told) == 101)

    assert listener.told == ["(joined)", *map(str, range(100))]


async def test_a_quiet_channel_stays_joined(client: RedisClient) -> None:
    async with listening(client) as listener:
        await asyncio.sleep(QUICK.heartbeat_seconds * 4)
        await client.execute("PUBLISH", CHANNEL, "after a while")
        await until(lambda: "after a while" in listener.told)

    assert listener.told == ["(joined)", "after a while"]


async def test_a_connection_that_breaks_is_told_of_and_replaced(proxy: ByteProxy) -> None:
    async with opened(proxy.url) as client, listening(client) as listener:
        proxy.cut()
        await until(lambda: listener.told == ["(joined)", "(lost)", "(joined)"])
        await until(lambda: client.available)
        await client.execute("PUBLISH", CHANNEL, "again")
        await until(lambda: listener.told[-1] == "again")


async def test_a_server_that_falls_silent_is_told_of(server: Server) -> None:
    async with opened(server.url) as client, listening(client) as listener:
        server.signal(signal.SIGSTOP)
        try:
            await until(lambda: "(lost)" in listener.told)
        finally:
            server.signal(signal.SIGCONT)
        await until(lambda: listener.told[-1] == "(joined)")


async def test_a_server_that_is_not_there_yet_is_waited_for(server: Server) -> None:
    server.kill()
    listener = Listener()
    async with opened(server.url) as client:
        subscription = Subscription(
            client, CHANNEL, heard=listener.heard, joined=listener.joined, lost=listener.lost
        )
        task = asyncio.create_task(subscription.run())
        await until(lambda: "(lost)" in listener.told)
        assert "(joined)" not in listener.told
        server.start()
        await until(lambda: "(joined)" in listener.told)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_cluster_tells_whoever_is_asked(trio: Trio) -> None:  # noqa: F811
    async with opened(trio.url) as client, listening(client) as listener:
        for server in trio.servers:
            server.ask("PUBLISH", CHANNEL, f"from {server.port}")
        await until(lambda: len(listener.told) == 4)

    assert set(listener.told[1:]) == {f"from {server.port}" for server in trio.servers}


async def test_the_primary_that_sentinel_names_is_listened_to(watched: Watched) -> None:  # noqa: F811
    async with opened(watched.url) as client, listening(client) as listener:
        await client.execute("PUBLISH", CHANNEL, "from the primary")
        await until(lambda: listener.told == ["(joined)", "from the primary"])

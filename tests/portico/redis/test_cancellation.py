"""F06: a caller that gives up never lets another read its reply."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from portico.redis.script import Script
from tests.portico.redis.servers import opened

if TYPE_CHECKING:
    from portico.redis.client import RedisClient
    from tests.portico.redis.byte_proxy import ByteProxy
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio

ECHO = Script("echo", "return ARGV[1]")


async def test_f06_a_cancelled_caller_leaves_its_reply_to_nobody(
    server: Server, proxy: ByteProxy
) -> None:
    async with opened(proxy.url) as client:
        proxy.replies.clear()
        first = asyncio.create_task(client.execute("ECHO", "first"))
        await asyncio.sleep(0.02)  # it is written by now
        second = asyncio.create_task(client.execute("ECHO", "second"))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        proxy.replies.set()
        assert await second == b"second"
        assert await client.execute("ECHO", "third") == b"third"
        assert proxy.connections == 1
    assert server.process is not None


async def test_f06_replies_and_callers_stay_together_under_many_cancellations(
    client: RedisClient,
) -> None:
    chance = random.Random(6)

    async def caller(number: int) -> bool:
        asked = asyncio.create_task(client.run(ECHO, [], [number]))
        if chance.random() < 0.5:
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            asked.cancel()
        try:
            return await asked == str(number).encode()
        except asyncio.CancelledError:
            return True

    for _ in range(20):
        answers = await asyncio.gather(*(caller(number) for number in range(100)))
        assert all(answers)
    lane = client.state().lanes[0]
    assert (lane.connections, lane.pending, lane.in_flight) == (1, 0, 0)


async def test_a_command_cancelled_before_it_was_written_is_never_executed(
    client: RedisClient,
) -> None:
    task = asyncio.create_task(client.execute("INCR", "n"))
    await asyncio.sleep(0)  # it is queued, and nothing was written yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await client.execute("GET", "n") is None


async def test_a_timed_out_caller_leaves_its_reply_to_nobody(
    server: Server, proxy: ByteProxy
) -> None:
    """F06: a time-out is a cancellation too."""
    async with opened(proxy.url) as client:
        proxy.replies.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.execute("ECHO", "late")
        proxy.replies.set()
        assert await client.execute("ECHO", "next") == b"next"
    assert server.process is not None

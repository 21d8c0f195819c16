"""Revoked tokens: heard of by every worker within a second, and looked up after an outage."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from gateway.identity.revocation import (
    CHANNEL,
    REVOCATION_FUNCTIONS,
    Revocations,
    revocation_key,
)
from portico.redis.script import Script
from tests.portico.redis.servers import QUICK, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from portico.redis.client import RedisClient
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio


class Worker:
    """One worker's view, and how often it had to forget what it had verified."""

    def __init__(self, redis: RedisClient, capacity: int = 100) -> None:
        self.forgotten = 0
        self.revocations = Revocations(redis, forget=self._forget, capacity=capacity)

    def _forget(self) -> None:
        self.forgotten += 1

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Worker]:
        task = asyncio.create_task(self.revocations.listen())
        try:
            await eventually(lambda: not self.revocations.stale)
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        await asyncio.sleep(0.01)


async def revoke(redis: RedisClient, token_id: str) -> None:
    await redis.execute("SET", revocation_key(token_id), b"", "PX", 60_000)
    await redis.execute("PUBLISH", CHANNEL, token_id)


async def test_every_worker_hears_of_a_revoked_token_within_a_second(redis: RedisClient) -> None:
    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(Worker(redis).listening()) for _ in range(3)]
        await revoke(redis, "a-token")
        await eventually(lambda: all(w.revocations.knows("a-token") for w in workers), 1.0)

        assert not any(worker.revocations.knows("another") for worker in workers)


async def test_a_worker_that_was_not_there_finds_a_revoked_token_in_redis(
    redis: RedisClient,
) -> None:
    await revoke(redis, "a-token")
    late = Worker(redis).revocations

    assert not late.knows("a-token")
    assert await late.find("a-token")
    assert not await late.find("another")


async def test_after_an_outage_everything_verified_before_is_looked_up_again(
    redis_server: Server,
) -> None:
    async with opened(redis_server.url, QUICK) as redis, Worker(redis).listening() as worker:
        before = worker.forgotten
        redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: worker.forgotten > before)
        await eventually(lambda: not worker.revocations.stale)
        await revoke(redis, "later")
        await eventually(lambda: worker.revocations.knows("later"))


async def test_what_is_remembered_is_bounded(redis: RedisClient) -> None:
    async with Worker(redis, capacity=3).listening() as worker:
        before = worker.forgotten
        for number in range(7):
            await revoke(redis, f"token-{number}")
        await eventually(lambda: worker.revocations.knows("token-6"))

        assert repr(worker.revocations) == "<Revocations 1 heard>"
        assert worker.forgotten == before + 2
        assert await worker.revocations.find("token-0")


async def test_while_redis_is_away_tokens_count_and_the_state_is_stale(
    redis_server: Server, clock: object
) -> None:
    del clock
    async with opened(redis_server.url, QUICK) as redis:
        revocations = Worker(redis).revocations
        assert revocations.stale
        await redis.close()

        assert not await revocations.find("a-token")


async def test_a_script_of_ones_own_sees_a_revoked_token(redis: RedisClient) -> None:
    script = Script("test", REVOCATION_FUNCTIONS + "return revocation_look(KEYS[1]) and 1 or 0")

    assert await redis.run(script, [revocation_key("a-token")], []) == 0
    await revoke(redis, "a-token")
    assert await redis.run(script, [revocation_key("a-token")], []) == 1


def test_the_key_is_the_one_that_the_authorization_server_writes() -> None:
    assert revocation_key("abc") == b"portico:revoked:{abc}"

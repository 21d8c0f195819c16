"""What a client does while its server is well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from portico.redis.errors import Reason, RedisRefused, RedisUnavailable
from portico.redis.script import Script
from portico.redis.state import Condition
from portico.redis.wire import pack
from tests.portico.redis.servers import QUICK, opened

if TYPE_CHECKING:
    from portico.redis.client import RedisClient
    from tests.portico.redis.byte_proxy import ByteProxy
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio

ECHO = Script("echo", "return {KEYS[1], ARGV[1]}")
ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])")


async def test_a_command_is_answered(client: RedisClient) -> None:
    assert await client.execute("SET", b"key", 7) == b"OK"
    assert await client.execute("GET", "key") == b"7"


async def test_a_script_the_server_does_not_know_is_loaded(client: RedisClient) -> None:
    assert await client.run(ECHO, [b"k"], ["ä"]) == [b"k", "ä".encode()]


async def test_a_script_runs_once_though_it_had_to_be_loaded(client: RedisClient) -> None:
    assert await client.run(ADD, [b"n"], [5]) == 5
    await client.execute("SCRIPT", "FLUSH")
    assert await client.run(ADD, [b"n"], [5]) == 10


async def test_a_flushed_script_is_loaded_once_for_all_who_miss_it(
    client: RedisClient, server: Server
) -> None:
    """F19: NOSCRIPT."""
    await client.run(ADD, [b"n"], [0])
    server.ask("SCRIPT", "FLUSH")
    server.ask("CONFIG", "RESETSTAT")
    await asyncio.gather(*(client.run(ADD, [b"n"], [1]) for _ in range(100)))
    stats = server.ask("INFO", "commandstats")
    assert isinstance(stats, dict)
    loads = stats.get("cmdstat_script|load") or stats["cmdstat_script"]
    assert loads["calls"] == 1
    assert await client.execute("GET", "n") == b"100"


async def test_commands_of_one_moment_are_written_together(
    server: Server, proxy: ByteProxy
) -> None:
    async with opened(proxy.url) as client:
        await client.execute("PING")
        before = proxy.writes
        await asyncio.gather(*(client.execute("INCR", "n") for _ in range(200)))
        assert proxy.writes - before <= 2
    assert server.ask("GET", "n") == b"200"


async def test_each_caller_gets_the_reply_to_its_own_command(client: RedisClient) -> None:
    replies = await asyncio.gather(*(client.execute("ECHO", number) for number in range(1000)))
    assert replies == [str(number).encode() for number in range(1000)]


async def test_large_values_pass(client: RedisClient) -> None:
    value = bytes(range(256)) * 20_000
    await client.execute("SET", "large", value)
    assert await client.execute("GET", "large") == value


async def test_an_error_reply_reaches_only_its_caller(client: RedisClient) -> None:
    await client.execute("SET", "text", "x")
    wrong = client.execute("INCR", "text")
    right = client.execute("GET", "text")
    refused, reply = await asyncio.gather(wrong, right, return_exceptions=True)
    assert isinstance(refused, RedisRefused)
    assert reply == b"x"


async def test_a_script_that_fails_is_a_refusal(client: RedisClient) -> None:
    with pytest.raises(RedisRefused, match="broken"):
        await client.run(Script("broken", "error('broken')"), [], [])


async def test_a_script_that_cannot_be_compiled_is_a_refusal(client: RedisClient) -> None:
    with pytest.raises(RedisRefused, match="compiling"):
        await client.run(Script("wrong", "return return"), [], [])


async def test_a_word_that_is_no_word_fails_for_its_caller_only(client: RedisClient) -> None:
    other = asyncio.create_task(client.execute("PING"))
    with pytest.raises(TypeError):
        await client.execute("SET", "k", None)  # type: ignore[arg-type]  # on purpose
    assert await other == b"PONG"


async def test_several_connections_share_the_work(server: Server) -> None:
    options = QUICK.__class__(connections=3)
    async with opened(server.url, options) as client:
        ids = {await client.execute("CLIENT", "ID") for _ in range(9)}
        assert len(ids) == 3
        assert [lane.condition for lane in client.state().lanes] == [Condition.READY] * 3


async def test_a_client_names_itself_to_the_server(client: RedisClient) -> None:
    assert await client.execute("CLIENT", "GETNAME") == b"portico"


async def test_a_full_queue_refuses_without_sending(server: Server, proxy: ByteProxy) -> None:
    options = QUICK.__class__(max_waiting=10, timeout_seconds=0.3)
    async with opened(proxy.url, options) as client:
        proxy.replies.clear()
        waiting = [asyncio.create_task(client.execute("INCR", "n")) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(RedisUnavailable) as refused:
            await client.execute("INCR", "n")
        assert (refused.value.reason, refused.value.sent) == (Reason.OVERLOADED, False)
        proxy.replies.set()
        await asyncio.gather(*waiting)
        await client.execute("PING")
    assert server.ask("GET", "n") == b"10"


async def test_too_many_bytes_are_refused_without_sending(server: Server) -> None:
    options = QUICK.__class__(max_waiting_bytes=1000)
    async with opened(server.url, options) as client:
        with pytest.raises(RedisUnavailable) as refused:
            await client.execute("SET", "k", b"x" * 1000)
        assert refused.value.reason is Reason.OVERLOADED
        assert await client.execute("GET", "k") is None


async def test_a_closed_client_refuses(server: Server) -> None:
    async with opened(server.url) as client:
        pass
    with pytest.raises(RedisUnavailable) as refused:
        await client.execute("PING")
    assert (refused.value.reason, refused.value.sent) == (Reason.CLOSED, False)


async def test_whoever_waits_while_the_client_closes_is_told(
    server: Server, proxy: ByteProxy
) -> None:
    async with opened(proxy.url) as client:
        proxy.replies.clear()
        waiting = asyncio.create_task(client.execute("INCR", "n"))
        await asyncio.sleep(0.05)
    with pytest.raises(RedisUnavailable) as refused:
        await waiting
    assert (refused.value.reason, refused.value.sent) == (Reason.CLOSED, True)
    assert server.ask("GET", "n") == b"1"


async def test_state_tells_what_an_operator_asks(client: RedisClient, server: Server) -> None:
    await client.execute("PING")
    state = client.state()
    (lane,) = state.lanes
    assert (state.available, state.trouble) == (True, None)
    assert (lane.address, lane.condition, lane.connections) == (
        str(server.socket),
        Condition.READY,
        1,
    )
    assert (lane.pending, lane.in_flight) == (0, 0)
    assert lane.replies >= 1


def test_a_command_is_packed_as_redis_reads_it() -> None:
    assert pack((b"SET", "k", 12)) == b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n12\r\n"

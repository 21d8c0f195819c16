"""What callers are told when the server, or the way to it, fails; and that it heals by itself."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from portico.redis.errors import Reason, RedisUnavailable
from portico.redis.script import Script
from portico.redis.state import Condition
from tests.portico.redis.servers import QUICK, Server, eventually, opened, until

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from portico.redis.client import RedisClient
    from tests.portico.redis.byte_proxy import ByteProxy

pytestmark = pytest.mark.anyio

# For a client that is to bear a pause, on a machine that is busy as well.
_PATIENT = replace(QUICK, timeout_seconds=10.0, stall_seconds=5.0)
ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
# A script that recognises its own repetition, as those of idempotency records do.
CLAIM = Script(
    "claim",
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return 'mine' end "
    "redis.call('INCR', KEYS[2]) redis.call('SET', KEYS[1], ARGV[1]) return 'claimed'",
)


async def failure(awaitable: Awaitable[object]) -> RedisUnavailable:
    with pytest.raises(RedisUnavailable) as raised:
        await awaitable
    return raised.value


async def test_a_server_that_is_away_at_start_does_not_stop_the_client(
    program: Path, folder: Path
) -> None:
    server = Server(program, folder / "redis")
    async with opened(server.url) as client:
        assert not client.available
        assert "redis" in str(client.state().trouble)
        error = await failure(client.execute("PING"))
        assert (error.reason, error.sent) == (Reason.CONNECTION, False)
        with server:
            await until(lambda: client.available)
            assert await client.execute("PING") == b"PONG"


async def test_while_a_server_is_away_commands_fail_at_once(program: Path, folder: Path) -> None:
    async with opened(f"unix://{folder}/nobody") as client:
        started = time.monotonic()
        for _ in range(100):
            await failure(client.execute("PING"))
        assert time.monotonic() - started < 0.1
    assert program


async def test_a_killed_server_is_told_to_whoever_waited(
    server: Server, client: RedisClient
) -> None:
    server.signal(signal.SIGSTOP)
    waiting = [asyncio.create_task(client.execute("INCR", "n")) for _ in range(50)]
    await asyncio.sleep(0.05)
    server.kill()
    errors = [await failure(task) for task in waiting]
    assert {(error.reason, error.sent) for error in errors} == {(Reason.CONNECTION, True)}


async def test_the_client_returns_when_a_killed_server_does(
    server: Server, client: RedisClient
) -> None:
    server.kill()
    await until(lambda: not client.available)
    server.start()
    await until(lambda: client.available)
    assert await client.run(ADD, [b"n"], [1]) == 1


async def test_a_stopped_server_costs_no_caller_more_than_the_stall(
    server: Server, client: RedisClient
) -> None:
    server.signal(signal.SIGSTOP)
    started = time.monotonic()
    waiting = [client.execute("INCR", "n") for _ in range(50)]
    errors = await asyncio.gather(*(failure(one) for one in waiting))
    assert time.monotonic() - started < QUICK.stall_seconds + 0.3
    assert {(error.reason, error.sent) for error in errors} == {(Reason.TIMEOUT, True)}
    # From now on nobody waits, until the server proves itself.
    started = time.monotonic()
    error = await failure(client.execute("INCR", "n"))
    assert time.monotonic() - started < 0.05
    assert not error.sent
    server.signal(signal.SIGCONT)
    await until(lambda: client.available)
    # What was written before is executed now, as `sent` warned; what was refused is not.
    assert await client.execute("GET", "n") == b"50"


async def test_a_stopped_server_never_blocks_the_loop(server: Server, client: RedisClient) -> None:
    server.signal(signal.SIGSTOP)
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - before)

    watching = asyncio.create_task(watch())
    # More than the socket takes, so that writing waits too.
    large = [client.execute("SET", "k", b"x" * 100_000) for _ in range(100)]
    await asyncio.gather(*large, return_exceptions=True)
    watching.cancel()
    assert worst < 0.2
    server.signal(signal.SIGCONT)
    await until(lambda: client.available)


async def test_an_idle_connection_to_a_stopped_server_is_noticed(
    server: Server, client: RedisClient
) -> None:
    server.signal(signal.SIGSTOP)
    await until(lambda: not client.available)
    server.signal(signal.SIGCONT)
    await until(lambda: client.available)


async def test_a_short_pause_is_only_slow(server: Server) -> None:
    async with opened(server.url, _PATIENT) as client:
        server.ask("CLIENT", "PAUSE", 150, "ALL")
        assert await client.execute("INCR", "n") == 1
        assert client.state().lanes[0].connections == 1


async def test_a_caller_with_less_time_does_not_cost_the_others_their_connection(
    server: Server,
) -> None:
    async with opened(server.url, _PATIENT) as client:
        server.ask("CLIENT", "PAUSE", 500, "ALL")
        hasty = client.execute("ECHO", "hasty", timeout_seconds=0.05)
        patient = client.execute("ECHO", "patient")
        error, reply = await asyncio.gather(hasty, patient, return_exceptions=True)
        assert isinstance(error, RedisUnavailable)
        assert (error.reason, error.sent, reply) == (Reason.TIMEOUT, True, b"patient")
        assert await client.execute("ECHO", "next") == b"next"
        assert client.state().lanes[0].connections == 1


async def test_a_pause_longer_than_the_stall_fails_all_and_heals(
    server: Server, client: RedisClient
) -> None:
    server.ask("CLIENT", "PAUSE", 1000, "ALL")
    errors = await asyncio.gather(*(failure(client.execute("INCR", "n")) for _ in range(10)))
    assert {(error.reason, error.sent) for error in errors} == {(Reason.TIMEOUT, True)}
    assert await eventually(lambda: client.execute("ECHO", "back")) == b"back"


async def test_a_process_that_slept_reads_its_replies_before_it_judges(
    client: RedisClient,
) -> None:
    waiting = asyncio.create_task(client.execute("ECHO", "x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.8)  # noqa: ASYNC251  # longer than every time-out: the whole process sleeps
    assert await waiting == b"x"
    assert client.state().lanes[0].connections == 1


@pytest.mark.parametrize("cut_after", [0, 1, 3, 7, 11])
async def test_a_connection_cut_in_a_reply_is_told_and_replaced(
    server: Server, proxy: ByteProxy, cut_after: int
) -> None:
    async with opened(proxy.url) as client:
        await client.execute("PING")
        proxy.cut_after = cut_after
        commands = (client.execute("ECHO", f"value-{number}") for number in range(3))
        outcomes = await asyncio.gather(*commands, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, RedisUnavailable):
                assert (outcome.reason, outcome.sent) == (Reason.CONNECTION, True)
            else:
                assert outcome == f"value-{number}".encode()
        assert isinstance(outcomes[-1], RedisUnavailable)
        after = await asyncio.gather(*(client.execute("ECHO", number) for number in range(9)))
        assert after == [str(number).encode() for number in range(9)]
    assert server.process is not None


@pytest.mark.parametrize("surprise", [b"+SURPRISE\r\n", b"!garbage?\r\n", b"\x00\xff" * 50])
async def test_bytes_that_nothing_had_asked_for_reach_nobody(
    proxy: ByteProxy, surprise: bytes
) -> None:
    async with opened(proxy.url) as client:
        await client.execute("PING")
        proxy.inject(surprise)
        await until(lambda: proxy.connections == 2)
        assert await client.execute("ECHO", "own") == b"own"


async def test_a_command_that_may_have_been_executed_is_not_repeated(
    server: Server, proxy: ByteProxy
) -> None:
    async with opened(proxy.url) as client:
        await client.run(ADD, [b"n"], [0])
        proxy.cut_after = 0
        error = await failure(client.run(ADD, [b"n"], [1]))
        assert error.sent
        assert await client.execute("GET", "n") == b"1"
    assert server.ask("GET", "n") == b"1"


async def test_f04_a_repeatable_script_is_repeated_and_recognises_itself(
    server: Server, proxy: ByteProxy
) -> None:
    async with opened(proxy.url) as client:
        await client.run(CLAIM, [b"{t}:other", b"{t}:claims"], ["x"])
        proxy.cut_after = 0
        keys = [b"{t}:key", b"{t}:claims"]
        assert await client.run(CLAIM, keys, ["token"], repeatable=True) == b"mine"
    assert server.ask("GET", "{t}:claims") == b"2"


async def test_a_repeated_command_that_is_refused_may_still_have_been_executed(
    server: Server, proxy: ByteProxy
) -> None:
    async with opened(proxy.url) as client:
        await client.run(ADD, [b"n"], [0])
        proxy.replies.clear()
        adding = asyncio.create_task(client.run(ADD, [b"n"], [1], repeatable=True))
        await asyncio.sleep(0.05)
        server.ask("CONFIG", "SET", "maxmemory", 1)
        proxy.cut()
        proxy.replies.set()
        error = await failure(adding)
        assert (error.reason, error.sent) == (Reason.OUT_OF_MEMORY, True)


async def test_commands_queued_while_the_connection_is_replaced_are_sent(
    server: Server, proxy: ByteProxy
) -> None:
    async with opened(proxy.url) as client:
        await client.execute("PING")
        proxy.cut()
        # The loss is noticed now or after the first write; in no case is a command written twice.
        outcomes = await asyncio.gather(
            *(client.execute("INCR", "n") for _ in range(20)), return_exceptions=True
        )
        done = sum(isinstance(outcome, int) for outcome in outcomes)
        lost = [outcome for outcome in outcomes if isinstance(outcome, RedisUnavailable)]
        assert all(error.sent for error in lost)
        count = await eventually(lambda: client.execute("GET", "n"))
        stored = server.ask("GET", "n") or b"0"
        assert isinstance(stored, bytes)
        assert done <= int(stored) <= done + len(lost)
        assert count is not None or done == 0


async def test_f19_full_memory_is_told_and_nothing_was_written(
    server: Server, client: RedisClient
) -> None:
    server.ask("CONFIG", "SET", "maxmemory", 1)
    for command in (client.run(ADD, [b"n"], [1]), client.execute("SET", "n", 1)):
        error = await failure(command)
        assert (error.reason, error.sent) == (Reason.OUT_OF_MEMORY, False)
    assert client.available
    server.ask("CONFIG", "SET", "maxmemory", 0)
    assert await client.run(ADD, [b"n"], [1]) == 1


async def test_f19_a_replica_refuses_and_the_client_connects_again(
    server: Server, client: RedisClient, program: Path, folder: Path
) -> None:
    with Server(program, folder / "primary", port=0) as primary:
        assert primary.process is not None
        server.ask("REPLICAOF", "127.0.0.1", 1)
        error = await failure(client.run(ADD, [b"n"], [1]))
        assert (error.reason, error.sent) == (Reason.READ_ONLY, False)
        server.ask("REPLICAOF", "NO", "ONE")
        assert await eventually(lambda: client.run(ADD, [b"n"], [1])) == 1
        assert client.state().lanes[0].connections >= 2


async def test_f19_too_few_replicas_for_the_server_itself_are_told(
    server: Server, client: RedisClient
) -> None:
    server.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    error = await failure(client.run(ADD, [b"n"], [1]))
    assert (error.reason, error.sent) == (Reason.WRITE_REFUSED, False)


async def test_a_script_that_does_not_end_keeps_nobody_waiting_forever(
    server: Server, client: RedisClient
) -> None:
    endless = Script("endless", "while true do end")
    error = await failure(client.run(endless, [], []))
    assert (error.reason, error.sent) == (Reason.TIMEOUT, True)
    server.kill()


async def test_a_wrong_password_is_told_as_such(server: Server) -> None:
    server.ask("CONFIG", "SET", "requirepass", "right")
    async with opened(server.url, replace(QUICK, password="wrong")) as client:
        assert not client.available
        error = await failure(client.execute("PING"))
        assert (error.reason, error.sent) == (Reason.AUTHENTICATION, False)
        assert "wrong" not in str(error)
        assert "wrong" not in repr(client.options)
        lane = client.state().lanes[0]
        assert lane.condition is Condition.DOWN
        assert "wrong" not in str(lane.trouble).replace("WRONGPASS", "")
    async with opened(server.url, replace(QUICK, password="right")) as client:
        assert await client.execute("PING") == b"PONG"


async def test_credentials_of_the_url_are_used(server: Server) -> None:
    server.ask("ACL", "SETUSER", "me", "on", ">p@ss", "~*", "+@all")
    async with opened(f"{server.url}?username=me&password=p%40ss") as client:
        assert await client.execute("ACL", "WHOAMI") == b"me"


async def test_attempts_to_connect_are_spread_out(folder: Path) -> None:
    attempts: list[float] = []

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(time.monotonic())
        writer.close()

    listener = await asyncio.start_unix_server(refuse, folder / "s")
    options = replace(QUICK, first_retry_seconds=0.02, max_retry_seconds=0.2)
    async with opened(f"unix://{folder}/s", options):
        await asyncio.sleep(1)
    listener.close()
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    # 0.02, 0.04, 0.08, 0.16, then 0.2, each halved at most.
    assert 6 <= len(attempts) <= 20
    assert max(pauses) <= 0.3
    assert sum(pauses[-3:]) > 2 * sum(pauses[:3])

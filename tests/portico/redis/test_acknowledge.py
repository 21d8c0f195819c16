"""Writes that count only once a replica, or the disk, has them."""

from __future__ import annotations

import asyncio
import re
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.redis.errors import Reason, RedisRefused, RedisUnavailable
from portico.redis.options import Acknowledgement
from portico.redis.script import Script
from tests.portico.redis.byte_proxy import proxied
from tests.portico.redis.servers import QUICK, Server, eventually, free_port, opened, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portico.redis.client import RedisClient

pytestmark = pytest.mark.anyio

ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
PATIENT = replace(QUICK, timeout_seconds=5, stall_seconds=5)
ONE_COPY = replace(PATIENT, acknowledgement=Acknowledgement(replicas=1, timeout_seconds=4))
HASTY = replace(PATIENT, acknowledgement=Acknowledgement(replicas=1, timeout_seconds=0.1))


@pytest.fixture(scope="module")
def pair(program: Path) -> Iterator[tuple[Server, Server]]:
    """Run a primary and its replica for all tests of this module."""
    durable = ["--repl-diskless-sync-delay", "0", "--appendonly", "yes"]
    with tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as path:
        primary = Server(program, Path(path) / "primary", *durable, port=free_port())
        follows = ["--replicaof", "127.0.0.1", str(primary.port), *durable]
        replica = Server(program, Path(path) / "replica", *follows, port=free_port())
        with primary, replica:
            asyncio.run(until(lambda: primary.ask("WAIT", 1, 100) == 1 and _linked(replica)))
            yield primary, replica


@pytest.fixture
def primary(pair: tuple[Server, Server]) -> Server:
    pair[0].ask("FLUSHALL")
    pair[0].ask("CONFIG", "RESETSTAT")
    return pair[0]


@pytest.fixture
def replica(pair: tuple[Server, Server]) -> Iterator[Server]:
    yield pair[1]
    pair[1].signal(signal.SIGCONT)


def _linked(server: Server) -> bool:
    replication = server.ask("INFO", "replication")
    assert isinstance(replication, dict)
    return bool(replication["master_link_status"] == "up")


def _calls(server: Server, command: str) -> int:
    stats = server.ask("INFO", "commandstats")
    assert isinstance(stats, dict)
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def _add(client: RedisClient, number: int = 1) -> object:
    return await client.run(ADD, [b"n"], [number], acknowledged=True)


async def test_a_write_that_a_replica_has_is_acknowledged(primary: Server, replica: Server) -> None:
    async with opened(primary.url, ONE_COPY) as client:
        assert await _add(client) == 1
    assert replica.ask("GET", "n") == b"1"


async def test_a_write_that_no_replica_confirms_is_told_with_its_reply(
    primary: Server, replica: Server
) -> None:
    async with opened(primary.url, HASTY) as client:
        await eventually(lambda: _add(client, 0))
        replica.signal(signal.SIGSTOP)
        with pytest.raises(RedisUnavailable) as told:
            await _add(client, 5)
        replica.signal(signal.SIGCONT)
        error = told.value
        assert (error.reason, error.sent, error.reply) == (Reason.NOT_REPLICATED, True, 5)
        assert await eventually(lambda: _add(client, 0)) == 5


async def test_writes_of_one_moment_share_one_wait(primary: Server, replica: Server) -> None:
    async with opened(primary.url, ONE_COPY) as client:
        await _add(client, 0)
        before = _calls(primary, "wait")
        replies = await asyncio.gather(*(_add(client) for _ in range(50)))
        assert sorted(replies) == list(range(1, 51))  # type: ignore[type-var]  # integers all
        assert _calls(primary, "wait") - before <= 3
    assert replica.ask("GET", "n") == b"50"


async def test_other_commands_do_not_stand_behind_a_wait(primary: Server, replica: Server) -> None:
    slow = replace(QUICK, acknowledgement=Acknowledgement(replicas=1, timeout_seconds=0.4))
    async with opened(primary.url, slow) as client:
        replica.signal(signal.SIGSTOP)
        adding = asyncio.create_task(_add(client))
        await until(lambda: primary.ask("GET", "n") == b"1")
        async with asyncio.timeout(0.2):
            assert await client.execute("GET", "n") == b"1"
        assert not adding.done()
        replica.signal(signal.SIGCONT)
        await asyncio.gather(adding, return_exceptions=True)


async def test_a_wait_on_another_connection_confirms_nothing(program: Path, folder: Path) -> None:
    # A new connection has written nothing: its WAIT would be satisfied at once.
    with Server(program, folder / "redis") as server:
        async with proxied(folder / "proxy", server.socket) as proxy:
            none = replace(QUICK, acknowledgement=Acknowledgement(replicas=0))
            async with opened(proxy.url, none) as client:
                await _add(client, 0)
                # The reply ":5" passes, that of WAIT does not.
                proxy.cut_after = len(b":5\r\n")
                with pytest.raises(RedisUnavailable) as told:
                    await _add(client, 5)
                assert (told.value.reason, told.value.reply) == (Reason.NOT_REPLICATED, 5)
                assert await _add(client, 1) == 6


async def test_an_error_of_an_acknowledged_script_is_told_as_ever(
    primary: Server, replica: Server
) -> None:
    async with opened(primary.url, ONE_COPY) as client:
        with pytest.raises(RedisRefused, match="broken"):
            await client.run(Script("b", "error('broken')"), [], [], acknowledged=True)
        assert await _add(client) == 1
    assert replica.process is not None


async def test_without_the_option_nothing_is_waited_for(primary: Server) -> None:
    async with opened(primary.url) as client:
        assert await _add(client) == 1
    assert _calls(primary, "wait") == 0


async def test_the_disk_of_the_primary_can_be_waited_for(primary: Server) -> None:
    information = primary.ask("INFO", "server")
    assert isinstance(information, dict)
    version = tuple(map(int, re.findall(r"\d+", information["redis_version"])))
    primary.ask("CONFIG", "SET", "appendfsync", "always")
    wanted = Acknowledgement(replicas=0, timeout_seconds=1, local_disk=True)
    async with opened(primary.url, replace(QUICK, acknowledgement=wanted)) as client:
        if version >= (7, 2):
            assert await _add(client) == 1
            return
        with pytest.raises(RedisUnavailable) as told:
            await _add(client)
        assert (told.value.reason, told.value.reply) == (Reason.NOT_REPLICATED, 1)


async def test_a_refused_wait_leaves_its_write_unsent(primary: Server) -> None:
    full = replace(ONE_COPY, max_waiting=1)
    async with opened(primary.url, full) as client:
        with pytest.raises(RedisUnavailable) as told:
            await _add(client)
        assert (told.value.reason, told.value.sent) == (Reason.OVERLOADED, False)
        assert await client.execute("GET", "n") is None

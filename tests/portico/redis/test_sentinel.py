"""Whoever is the primary is found, and found again after a failover."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import redis

from portico.redis.errors import Reason, RedisUnavailable
from portico.redis.script import Script
from tests.portico.redis.servers import QUICK, Server, eventually, free_port, opened, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portico.redis.client import RedisClient

pytestmark = pytest.mark.anyio

ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
_SETTINGS = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor orders 127.0.0.1 {primary} 1
sentinel down-after-milliseconds orders 300
sentinel failover-timeout orders 2000
"""


class Watched:
    """A primary, a replica and a Sentinel that watches them."""

    def __init__(self, program: Path, folder: Path) -> None:
        quick = ["--repl-diskless-sync-delay", "0"]
        self.first = Server(program, folder / "first", *quick, port=free_port())
        follows = ["--replicaof", "127.0.0.1", str(self.first.port), *quick]
        self.second = Server(program, folder / "second", *follows, port=free_port())
        self.port = free_port()
        self._program = program
        self._folder = folder
        self._sentinel: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        # The first Sentinel does not run: the next one is asked.
        return f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.port}/orders"

    def ask(self, *command: object) -> object:
        return Server(self._program, self._folder, port=self.port).ask(*command)

    def start(self) -> None:
        self.first.start()
        self.second.start()
        path = self._folder / "sentinel.conf"
        path.write_text(
            _SETTINGS.format(port=self.port, folder=self._folder, primary=self.first.port)
        )
        self._sentinel = subprocess.Popen(
            [self._program, path, "--sentinel"], stdout=subprocess.DEVNULL
        )
        asyncio.run(until(self._settled))

    def _settled(self) -> bool:
        """Return whether Sentinel knows the replica and the replica has caught up."""
        try:
            replicas = self.ask("SENTINEL", "SLAVES", "orders")
        except redis.RedisError:  # it has not started yet
            return False
        return (
            isinstance(replicas, list)
            and len(replicas) == 1
            and self.first.ask("WAIT", 1, 50) == 1
            and b"master_link_status:up" in _information(self.second)
        )

    def failed_over(self) -> bool:
        """Tell Sentinel to make the replica the primary; return whether it agreed."""
        try:
            return bool(self.ask("SENTINEL", "FAILOVER", "orders"))
        except redis.ResponseError:
            return False

    def stop(self) -> None:
        self.first.kill()
        self.second.kill()
        if self._sentinel is not None:
            self._sentinel.kill()
            self._sentinel.wait()


def _information(server: Server) -> bytes:
    fields = server.ask("INFO", "replication")
    assert isinstance(fields, dict)
    return "\n".join(f"{name}:{value}" for name, value in fields.items()).encode()


@pytest.fixture
def watched(redis_server: Path, folder: Path) -> Iterator[Watched]:
    watched = Watched(redis_server, folder)
    try:
        watched.start()
        yield watched
    finally:
        watched.stop()


async def _add(client: RedisClient) -> object:
    return await client.run(ADD, [b"n"], [1])


async def test_the_primary_is_found_and_a_killed_one_replaced(watched: Watched) -> None:
    async with opened(watched.url) as client:
        assert await _add(client) == 1
        assert str(watched.first.port) in client.state().lanes[0].address
        await until(lambda: watched.first.ask("WAIT", 1, 100) == 1)
        watched.first.kill()
        waits: list[float] = []

        async def timed() -> object:
            started = time.monotonic()
            try:
                return await _add(client)
            finally:
                waits.append(time.monotonic() - started)

        assert await eventually(timed, 15) == 2
        assert client.available
        assert str(watched.second.port) in client.state().lanes[0].address
        # While there is no primary, nobody waits for one.
        assert max(waits) < 1.0
        # It is the new primary that has it.
        assert watched.second.ask("GET", "n") == b"2"


async def test_a_failover_by_command_is_followed(watched: Watched) -> None:
    async with opened(watched.url) as client:
        assert await _add(client) == 1
        await until(lambda: watched.first.ask("WAIT", 1, 100) == 1)
        await until(watched.failed_over)
        await until(lambda: b"role:master" in _information(watched.second))
        # The old primary does not know it yet: what it takes now is lost in some seconds.
        assert b"role:master" in _information(watched.first)
        await until(lambda: str(watched.second.port) in client.state().lanes[0].address, 4)
        assert await eventually(lambda: _add(client)) == 2
        assert watched.second.ask("GET", "n") == b"2"


async def test_a_stopped_primary_is_replaced(watched: Watched) -> None:
    async with opened(watched.url) as client:
        assert await _add(client) == 1
        await until(lambda: watched.first.ask("WAIT", 1, 100) == 1)
        watched.first.signal(signal.SIGSTOP)
        assert await eventually(lambda: _add(client), 15) == 2
        assert watched.second.ask("GET", "n") == b"2"
        watched.first.signal(signal.SIGCONT)


async def test_an_unknown_service_is_told(watched: Watched) -> None:
    url = watched.url.replace("/orders", "/invoices")
    async with opened(url) as client:
        assert not client.available
        assert client.state().trouble == "no sentinel knows a primary of invoices"


async def test_sentinels_that_are_silent_keep_nobody_waiting() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    started = time.monotonic()
    async with opened(f"redis+sentinel://127.0.0.1:{port}/orders") as client:
        assert not client.available
        await asyncio.sleep(0.2)  # it asks again by now
    assert time.monotonic() - started < 3
    silent.close()


async def test_sentinels_that_are_away_do_not_stop_the_client(redis_server: Path) -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()}/orders"
    async with opened(url, replace(QUICK, connect_seconds=0.2)) as client:
        with pytest.raises(RedisUnavailable) as told:
            await client.execute("PING")
        assert (told.value.reason, told.value.sent) == (Reason.CONNECTION, False)
    assert redis_server

"""A real server that lives and dies with its owner, and whose data does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portico.redis.embedded.errors import EmbeddedRedisError
from portico.redis.embedded.server import EmbeddedRedis
from portico.redis.errors import Reason, RedisRefused, RedisUnavailable
from portico.redis.startup import check
from tests.portico.redis.servers import eventually, opened, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).with_name("child.py")


class Child:
    """Another process with an embedded server in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, CHILD, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self._read()

    def state(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        state = json.loads(self.process.stdout.readline())
        assert isinstance(state, dict)
        return state

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def children(folder: Path, count: int) -> Iterator[list[Child]]:
    started: list[Child] = []
    try:
        started.extend(Child(folder) for _ in range(count))
        yield started
    finally:
        for child in started:
            child.kill()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def execute(embedded: EmbeddedRedis, *command: str) -> object:
    async with opened(embedded.url) as client:
        return await client.execute(*command)


async def test_a_server_is_started_as_its_records_need_it(program: Path, folder: Path) -> None:
    async with EmbeddedRedis(folder / "data", binary=program) as embedded:
        async with opened(embedded.url) as client:
            assert await check(client, "strict") == []
            settings = await client.execute("CONFIG", "GET", "*")
        assert isinstance(settings, dict)
        wanted = {
            b"port": b"0",
            b"appendonly": b"yes",
            b"appendfsync": b"everysec",
            b"maxmemory": str(256 * 1024 * 1024).encode(),
            b"maxmemory-policy": b"noeviction",
            b"save": b"",
        }
        assert wanted.items() <= settings.items()
        assert embedded.owner


async def test_nobody_else_can_reach_the_server(folder: Path) -> None:
    async with EmbeddedRedis(folder / "data") as embedded:
        data = (folder / "data").stat()
        socket = (folder / "data" / "redis.sock").stat()
        assert stat.S_IMODE(data.st_mode) == 0o700
        assert stat.S_IMODE(socket.st_mode) == 0o600
        with pytest.raises(RedisRefused, match="DEBUG"):
            await execute(embedded, "DEBUG", "SLEEP", "0")


async def test_ctrl_c_does_not_reach_the_server(folder: Path) -> None:
    async with EmbeddedRedis(folder) as embedded:
        assert embedded.pid is not None
        assert os.getsid(embedded.pid) != os.getsid(0)


async def test_a_stopped_server_is_gone_and_its_data_is_not(program: Path, folder: Path) -> None:
    async with EmbeddedRedis(folder, binary=program) as embedded:
        pid = embedded.pid
        assert pid is not None
        await execute(embedded, "SET", "key", "value")
    assert not alive(pid)
    async with EmbeddedRedis(folder, binary=program) as embedded:
        assert await execute(embedded, "GET", "key") == b"value"


async def test_a_second_user_of_the_folder_attaches(folder: Path) -> None:
    async with EmbeddedRedis(folder) as first, EmbeddedRedis(folder) as second:
        assert (first.owner, second.owner) == (True, False)
        assert (first.pid, first.url) == (second.pid, second.url)
        await execute(first, "SET", "key", "value")
        assert await execute(second, "GET", "key") == b"value"


async def test_whoever_attached_takes_over_when_the_owner_stops(folder: Path) -> None:
    first = EmbeddedRedis(folder)
    await first.start()
    async with EmbeddedRedis(folder) as second:
        await execute(first, "SET", "key", "value")
        await first.stop()
        await until(lambda: second.owner)
        assert await eventually(lambda: execute(second, "GET", "key")) == b"value"


async def test_a_killed_owner_takes_its_server_along_and_another_takes_over(
    folder: Path,
) -> None:
    with children(folder, 1) as (owner,):
        async with EmbeddedRedis(folder) as embedded:
            assert (owner.first["owner"], embedded.owner) == (True, False)
            async with opened(embedded.url) as client:
                for number in range(100):
                    await client.execute("RPUSH", "list", number)
                owner.kill()
                await until(lambda: not alive(owner.first["pid"]))
                await until(lambda: embedded.owner)
                # The same client finds the new server, and all that was answered.
                assert await eventually(lambda: client.execute("LLEN", "list")) == 100


async def test_a_killed_server_is_started_again(program: Path, folder: Path) -> None:
    embedded = EmbeddedRedis(folder, binary=program)
    async with embedded, opened(f"unix://{folder}/redis.sock") as client:
        await until(lambda: client.available)
        await client.execute("SET", "key", "value")
        pid = embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: embedded.owner and embedded.pid != pid)
        assert await eventually(lambda: client.execute("GET", "key")) == b"value"


async def test_many_processes_that_start_at_once_share_one_server(folder: Path) -> None:
    started = await asyncio.gather(*(asyncio.to_thread(Child, folder) for _ in range(4)))
    try:
        assert len({child.first["pid"] for child in started}) == 1
        assert [child.first["owner"] for child in started].count(True) == 1
    finally:
        for child in started:
            child.kill()


async def test_a_chain_of_killed_owners_loses_nothing(folder: Path) -> None:
    with children(folder, 3) as waiting:
        for count in range(3):
            owner = next(child for child in waiting if child.state()["owner"])
            async with opened(owner.first["url"]) as client:
                await eventually(lambda: client.execute("PING"))
                assert await client.execute("INCR", "n") == count + 1
            waiting.remove(owner)
            owner.kill()
            if waiting:
                await until(lambda: any(child.state()["owner"] for child in waiting))
        async with EmbeddedRedis(folder) as embedded:
            assert await execute(embedded, "GET", "n") == b"3"


async def test_a_folder_too_long_for_a_socket_works_the_same(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    long = tmp_path / ("x" * 60) / ("y" * 60)
    async with EmbeddedRedis(long) as first, EmbeddedRedis(long) as second:
        assert first.url == second.url
        assert await execute(first, "SET", "key", "value") == b"OK"
        assert await execute(second, "GET", "key") == b"value"


async def test_a_folder_with_strange_letters_works_the_same(folder: Path) -> None:
    async with EmbeddedRedis(folder / "a b%20ü?#") as embedded:
        assert await execute(embedded, "PING") == b"PONG"


async def test_a_server_that_ends_while_it_starts_is_told_with_its_words(folder: Path) -> None:
    async with EmbeddedRedis(folder) as embedded:
        await execute(embedded, "SET", "key", "value")
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")
    started = EmbeddedRedis(folder)
    with pytest.raises(EmbeddedRedisError, match="while it started") as refused:
        await started.start()
    assert refused.value.log == folder / "redis.log"
    assert "redis.log" in str(refused.value)
    assert "AOF" in str(refused.value)
    # The folder is free again.
    manifest.unlink()


async def test_a_server_that_never_answers_is_told_in_time(folder: Path) -> None:
    silent = folder / "silent"
    silent.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "v=7.0.0" || exec sleep 60\n')
    silent.chmod(0o755)
    embedded = EmbeddedRedis(folder / "data", binary=silent, start_seconds=0.3)
    with pytest.raises(EmbeddedRedisError, match=r"does not answer within 0\.3 s"):
        await embedded.start()
    assert not embedded.owner


async def test_a_server_of_another_process_that_never_answers_is_told_in_time(
    folder: Path,
) -> None:
    async with EmbeddedRedis(folder) as first:
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)
        second = EmbeddedRedis(folder, start_seconds=0.3)
        with pytest.raises(EmbeddedRedisError, match="another process"):
            await second.start()
        os.kill(first.pid, signal.SIGCONT)
        assert await eventually(lambda: execute(first, "PING")) == b"PONG"


async def test_stopping_a_server_that_is_suspended_ends_it(folder: Path) -> None:
    async with EmbeddedRedis(folder) as embedded:
        pid = embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    assert not alive(pid)


async def test_a_large_log_is_put_aside(folder: Path) -> None:
    log = folder / "redis.log"
    log.write_bytes(b"x" * (1024 * 1024 + 1))
    async with EmbeddedRedis(folder) as embedded:
        assert embedded.log.stat().st_size < 100_000
    assert (folder / "redis.log.1").stat().st_size > 1024 * 1024


async def test_full_memory_is_refused_and_nothing_is_evicted(folder: Path) -> None:
    small = EmbeddedRedis(folder, max_memory_bytes=4 * 1024 * 1024)
    async with small, opened(f"unix://{folder}/redis.sock") as client:
        await until(lambda: client.available)
        sets = (client.execute("SET", f"key-{n}", "x" * 100_000, "EX", 1000) for n in range(100))
        replies = await asyncio.gather(*sets, return_exceptions=True)
        refused = [reply for reply in replies if isinstance(reply, RedisUnavailable)]
        assert {error.reason for error in refused} == {Reason.OUT_OF_MEMORY}
        assert await client.execute("DBSIZE") == replies.count(b"OK") > 0


async def test_a_server_that_is_not_started_has_no_url(tmp_path: Path) -> None:
    embedded = EmbeddedRedis(tmp_path / ("x" * 120))
    with pytest.raises(EmbeddedRedisError, match="not started"):
        _ = embedded.url
    assert (embedded.pid, embedded.owner) == (None, False)

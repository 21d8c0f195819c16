"""A real server for each test, one run for each program that is installed here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.portico.redis.byte_proxy import ByteProxy, proxied
from tests.portico.redis.servers import Server, opened, programs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from portico.redis.client import RedisClient


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Use the loop that serves; what is told apart by loop says so itself."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", params=programs().items(), ids=lambda item: item[0])
def program(request: pytest.FixtureRequest) -> Path:
    """Return a server program; a test with it runs once for each."""
    name, path = request.param
    if path is None:
        pytest.skip(f"needs {name}: no such program here")
    assert isinstance(path, Path)
    return path


@pytest.fixture(scope="session")
def redis_server() -> Path:
    """Return Debian's Redis, for what only one program needs to show."""
    path = programs()["redis-server"]
    if path is None:
        pytest.skip("needs redis-server: no such program here")
    return path


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def server(program: Path, folder: Path) -> Iterator[Server]:
    with Server(program, folder / "redis") as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[RedisClient]:
    async with opened(server.url) as client:
        yield client


@pytest.fixture
async def proxy(server: Server, folder: Path) -> AsyncIterator[ByteProxy]:
    async with proxied(folder / "proxy", server.socket) as proxy:
        yield proxy

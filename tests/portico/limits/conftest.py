"""Limits on real servers, one run for each server program that is installed here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.portico.limits.setting import Setting
from tests.portico.redis.servers import Server, opened, programs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session", params=programs().items(), ids=lambda item: item[0])
def program(request: pytest.FixtureRequest) -> Path:
    """Return a server program; a test with it runs once for each."""
    name, path = request.param
    if path is None:
        pytest.skip(f"needs {name}: no such program here")
    assert isinstance(path, Path)
    return path


@pytest.fixture(scope="session")
def shared_server(program: Path) -> Iterator[Server]:
    """Return a server that many tests use, each with names of its own; none may harm it."""
    with (
        tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as folder,
        Server(program, Path(folder)) as server,
    ):
        yield server


@pytest.fixture
def server(program: Path) -> Iterator[Server]:
    """Return a server for one test, which may do to it what it likes."""
    with (
        tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as folder,
        Server(program, Path(folder)) as server,
    ):
        yield server


@pytest.fixture
async def setting(shared_server: Server) -> AsyncIterator[Setting]:
    """Return limits with names of their own on the shared server."""
    async with opened(shared_server.url) as client, Setting(client) as setting:
        yield setting


@pytest.fixture
async def own(server: Server) -> AsyncIterator[Setting]:
    """Return limits on a server of the test's own."""
    async with opened(server.url) as client, Setting(client) as setting:
        yield setting


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as path:
        yield Path(path)

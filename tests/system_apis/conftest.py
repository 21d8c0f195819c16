"""Fixtures of the system APIs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.script import Script
from tests.support.tryton import (  # noqa: F401  fixtures and a hook, found by name
    fresh_tryton,
    new_name,
    pytest_collection_modifyitems,
    tryton,
    tryton_data,
)


@pytest.fixture
async def script(anyio_backend: str) -> AsyncIterator[Script]:
    """A server whose answers the test writes."""
    del anyio_backend
    played = Script()
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    played.port = server.sockets[0].getsockname()[1]
    async with server:
        yield played

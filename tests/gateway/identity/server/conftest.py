"""A deployment for each test, and the people and clients that use it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gateway.identity.keys import KeyRing
from tests.gateway.identity.server.deployment import Deployment, deploy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from portico.redis.client import RedisClient


@pytest.fixture(scope="session")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing(tmp_path_factory.mktemp("ring") / "keys.json")


@pytest.fixture
def deployment(redis: RedisClient, ring: KeyRing) -> Deployment:
    return deploy(redis, ring, time.time)


@pytest.fixture
async def http(deployment: Deployment) -> AsyncIterator[httpx.AsyncClient]:
    """Return what a client's server has: no cookies of people."""
    async with deployment.http("198.51.100.1") as client:
        yield client


@pytest.fixture
async def browser(deployment: Deployment) -> AsyncIterator[httpx.AsyncClient]:
    async with deployment.http() as client:
        yield client

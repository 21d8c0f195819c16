"""The parcel service on loopback, and its connector."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from portico.connectors.messages import Job
from portico.deadline import Deadline
from portico.sandbox.running import serve_on_loopback
from tests.portico.connectors.parcels.connector import Parcels, Settings, resources
from tests.portico.connectors.parcels.service import ParcelService
from tests.support.script import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class Post:
    """The service and the connector to it."""

    service: ParcelService
    parcels: Parcels


@pytest.fixture
async def script(anyio_backend: str) -> AsyncIterator[Script]:
    """A server whose answers the test writes."""
    del anyio_backend
    played = Script()
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    played.port = server.sockets[0].getsockname()[1]
    async with server:
        yield played


def job(seconds: float = 5.0) -> Job:
    return Job(deadline=Deadline.after(seconds))


@pytest.fixture
async def post(anyio_backend: str) -> AsyncIterator[Post]:
    del anyio_backend
    service = ParcelService()
    async with serve_on_loopback(service.app()) as url:
        settings = Settings.model_validate(
            {"base_url": url, "client_id": "us", "client_secret": "a secret"}
        )
        async with resources(settings) as parcels:
            yield Post(service, parcels)

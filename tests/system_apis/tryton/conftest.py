"""The API on a real Tryton, and one that is spoken for byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.deadline import Deadline
from portico.trace import Trace
from system_apis.tryton.app import Settings, resources
from tests.support.script import Script
from tests.support.tryton import open_api, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.testing import APIUnderTest
    from system_apis.tryton.connector import Exchange, Tryton
    from system_apis.tryton.sandbox.server import Sandbox

CONTRACT = Path(__file__).parents[3] / "specs" / "openapi" / "system" / "tryton.v1.yaml"
KEY = "a-key-of-the-test-that-is-long-enough"


@pytest.fixture
async def api(tryton: Sandbox, anyio_backend: str) -> AsyncIterator[APIUnderTest]:
    """The API on the Tryton that all tests share."""
    del anyio_backend
    async with open_api(tryton.endpoint) as opened:
        yield opened


@pytest.fixture
async def fresh_api(fresh_tryton: Sandbox, anyio_backend: str) -> AsyncIterator[APIUnderTest]:
    """The API on a Tryton of the test's own."""
    del anyio_backend
    async with open_api(fresh_tryton.endpoint) as opened:
        yield opened


@pytest.fixture
async def scripted(script: Script) -> AsyncIterator[Tryton]:
    """The client, talking to the script."""
    settings = Settings.model_validate(
        {"base_url": f"http://127.0.0.1:{script.port}/erp", "key": KEY}
    )
    async with resources(settings) as tryton:
        yield tryton


@pytest.fixture
async def erp(tryton: Sandbox, anyio_backend: str) -> AsyncIterator[Exchange]:
    """The shared Tryton itself, for what a test does behind the back of the API."""
    del anyio_backend
    async with resources(settings_for(tryton.endpoint)) as client:
        yield await client.enter(Deadline.after(60), Trace.start())

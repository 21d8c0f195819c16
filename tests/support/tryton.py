"""A real Tryton for tests, and one that is spoken for byte by byte.

Import the fixtures you use into a conftest, with the collection hook:

    from tests.support.tryton import pytest_collection_modifyitems, tryton, tryton_data

The set-up is paid once per machine: it is kept in data/test/tryton. Each server begins with a copy
of the seeded database, which takes milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.testing import APIUnderTest
from system_apis.tryton import handlers
from system_apis.tryton.app import Settings, resources
from system_apis.tryton.sandbox.preparation import prepare
from system_apis.tryton.sandbox.server import Endpoint, Sandbox
from tests.support.script import answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

CONTRACT = Path(__file__).parents[2] / "specs" / "openapi" / "system" / "tryton.v1.yaml"
DATA = Path(__file__).parents[2] / "data" / "test" / "tryton"
# The first test of a fresh checkout waits for the whole set-up.
SETUP_TIMEOUT_SECONDS = 300

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that may have to wait for the set-up the time for it."""
    for item in items:
        if "tryton_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(SETUP_TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def tryton_data() -> Path:
    """Return a data folder in which Tryton is set up."""
    asyncio.run(prepare(DATA))
    return DATA


@pytest.fixture(scope="session")
def tryton(tryton_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Run one Tryton for all tests that only add to it."""
    with running(tryton_data, tmp_path_factory.mktemp("tryton")) as sandbox:
        yield sandbox


@pytest.fixture
def fresh_tryton(tryton_data: Path, tmp_path: Path) -> Iterator[Sandbox]:
    """Run a Tryton of the test's own, with nothing but the seeded data."""
    with running(tryton_data, tmp_path / "tryton") as sandbox:
        yield sandbox


@pytest.fixture
def new_name() -> Callable[[], str]:
    """Return a function that makes a purchase order number nobody used before."""
    return lambda: f"PO-{next(_numbers):06d}"


@contextlib.contextmanager
def running(data: Path, folder: Path) -> Iterator[Sandbox]:
    """Run a Tryton whose database is in a folder of its own."""
    sandbox = Sandbox(data, state=folder / "state")
    asyncio.run(sandbox.start())
    try:
        yield sandbox
    finally:
        asyncio.run(sandbox.stop())


def settings_for(endpoint: Endpoint) -> Settings:
    """Return the settings of the API for a running sandbox, its secret resolved."""
    key = Path(endpoint.key_reference.removeprefix("file:")).read_text("utf-8")
    return Settings.model_validate({"base_url": endpoint.base_url, "key": key})


@contextlib.asynccontextmanager
async def open_api(endpoint: Endpoint) -> AsyncIterator[APIUnderTest]:
    """Open the API, its contract enforced, on a running Tryton."""
    async with resources(settings_for(endpoint)) as tryton:
        yield APIUnderTest(CONTRACT, handlers, resources=tryton)


COMPANY = answer(
    200,
    b'[{"id": 1, "party": {"id": 9}, "currency": {"id": 2, "code": "EUR", "digits": 2}}]',
)

"""The API on its sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from portico.sandbox.running import Running, run_sandboxes
from portico.testing import APIUnderTest
from system_apis.quickbooks import handlers
from system_apis.quickbooks.app import Settings, resources
from system_apis.quickbooks.connector import QuickBooks
from system_apis.quickbooks.sandbox.kind import QuickBooksKind
from system_apis.quickbooks.sandbox.server import REALM_ID, QuickBooksSandbox

CONTRACT = Path(__file__).parents[3] / "specs" / "openapi" / "system" / "quickbooks.v1.yaml"
# The limits are tested by themselves; other tests need not wait for them.
UNLIMITED = 1000


def secret(name: str) -> str:
    return f"secret-of-{name}"


@dataclass(frozen=True, slots=True)
class Company:
    """A running sandbox, the connector to it, and the API above."""

    running: Running
    books: QuickBooks
    api: APIUnderTest

    @property
    def sandbox(self) -> QuickBooksSandbox:
        assert isinstance(self.running.sandbox, QuickBooksSandbox)
        return self.running.sandbox

    def count(self, entity: str) -> int:
        return len(self.sandbox.state.table(entity))


def settings_for(url: str, folder: Path, **more: object) -> Settings:
    made = QuickBooksKind().settings(url)
    resolved = {
        name: secret(str(value).removeprefix("generated:"))
        if str(value).startswith("generated:")
        else value
        for name, value in made.items()
    }
    return Settings.model_validate(
        {
            **resolved,
            "requests_per_second": UNLIMITED,
            "requests_per_minute": 10_000,
            "references_url": f"sqlite:///{folder / 'references.sqlite'}",
            "tokens": folder / "tokens",
            **more,
        }
    )


@asynccontextmanager
async def open_books(settings: Settings) -> AsyncIterator[tuple[QuickBooks, APIUnderTest]]:
    async with resources(settings) as books:
        yield books, APIUnderTest(CONTRACT, handlers, resources=books)


def token_file(folder: Path) -> Path:
    return folder / "tokens" / f"quickbooks-{REALM_ID}.json"


@pytest.fixture
async def sandbox(anyio_backend: str) -> AsyncIterator[Running]:
    del anyio_backend
    async with run_sandboxes({"quickbooks": QuickBooksKind()}, secret) as found:
        running = found["quickbooks"]
        assert isinstance(running.sandbox, QuickBooksSandbox)
        running.sandbox.requests_per_second = UNLIMITED
        yield running


@pytest.fixture
async def company(sandbox: Running, tmp_path: Path) -> AsyncIterator[Company]:
    async with open_books(settings_for(sandbox.url, tmp_path)) as (books, api):
        yield Company(sandbox, books, api)

"""The API on its sandbox, and Stripe's own library on the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from portico.sandbox.running import Running, run_sandboxes
from portico.testing import APIUnderTest
from system_apis.stripe import handlers
from system_apis.stripe.app import Settings, resources
from system_apis.stripe.connector import Stripe
from system_apis.stripe.sandbox.kind import StripeKind
from system_apis.stripe.sandbox.server import StripeSandbox

CONTRACT = Path(__file__).parents[3] / "specs" / "openapi" / "system" / "stripe.v1.yaml"
API_KEY = "sk_test_sandbox"


@dataclass(frozen=True, slots=True)
class Account:
    """A running sandbox, the connector to it, and the API above."""

    running: Running
    stripe: Stripe
    api: APIUnderTest

    @property
    def sandbox(self) -> StripeSandbox:
        assert isinstance(self.running.sandbox, StripeSandbox)
        return self.running.sandbox

    def count(self, kind: str) -> int:
        return len(self.sandbox.state.table(kind))


@asynccontextmanager
async def open_stripe(url: str, references: Path) -> AsyncIterator[tuple[Stripe, APIUnderTest]]:
    settings = Settings.model_validate(
        {
            "base_url": url,
            "api_key": API_KEY,
            "account": "acct_test",
            "requests_per_second": 100,
            "references_url": f"sqlite:///{references}",
        }
    )
    async with resources(settings) as stripe:
        yield stripe, APIUnderTest(CONTRACT, handlers, resources=stripe)


@pytest.fixture
async def sandbox(anyio_backend: str) -> AsyncIterator[Running]:
    del anyio_backend
    async with run_sandboxes({"stripe": StripeKind()}, lambda _: API_KEY) as found:
        yield found["stripe"]


@pytest.fixture
async def account(sandbox: Running, tmp_path: Path) -> AsyncIterator[Account]:
    async with open_stripe(sandbox.url, tmp_path / "references.sqlite") as (stripe, api):
        yield Account(sandbox, stripe, api)

"""The API on an S/4HANA of our own, and on SAP's own service definitions served by CAP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from portico.contract import Contract, load
from portico.sandbox.running import Running
from portico.testing import APIUnderTest
from system_apis.sap import handlers
from system_apis.sap.app import Settings, resources
from system_apis.sap.connector import SAP
from system_apis.sap.sandbox.s4 import S4
from system_apis.sap.sandbox.service import PAGE_SIZE
from system_apis.sap.sandbox.system import USER, SAPKind, SAPSandbox
from tests.support.operations import body_of
from tests.support.sandbox import SECRET, refresh, running_beside

CONTRACT = Path(__file__).parents[3] / "specs" / "openapi" / "system" / "sap.v1.yaml"
KEY: dict[str, object] = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


@pytest.fixture(scope="session")
def contract() -> Contract:
    return load(CONTRACT)


@pytest.fixture(scope="session")
def one_s4() -> Iterator[Running]:
    """An S/4HANA that all tests use, one after the other."""
    with running_beside(SAPKind()) as running:
        yield running


@pytest.fixture
def served(one_s4: Running) -> Running:
    """An S/4HANA, seeded with the company, with nobody logged on."""
    s4 = s4_of(one_s4)
    s4.end_sessions()
    s4.page_size, s4.zeros, s4.locks = PAGE_SIZE, False, 0
    refresh(one_s4)
    return one_s4


@pytest.fixture
def s4(served: Running) -> S4:
    """The system itself, for what a test does behind the back of the API."""
    return s4_of(served)


def s4_of(running: Running) -> S4:
    assert isinstance(running.sandbox, SAPSandbox)
    return running.sandbox.s4


@pytest.fixture
async def client(served: Running, tmp_path: Path, anyio_backend: str) -> AsyncIterator[SAP]:
    del anyio_backend
    async with resources(settings_for(served.url, tmp_path)) as opened_client:
        yield opened_client


@pytest.fixture
def api(client: SAP, contract: Contract) -> APIUnderTest:
    return APIUnderTest(contract, handlers, resources=client)


def settings_for(url: str, folder: Path, **more: object) -> Settings:
    """Return the settings of the API for a system at a URL, with its references in a folder."""
    way: dict[str, Any] = {"user": USER, "password": SECRET}
    references = f"sqlite:///{folder / 'references.sqlite'}"
    return Settings.model_validate({"base_url": url, "references_url": references, **way, **more})


@asynccontextmanager
async def opened(
    contract: Contract, url: str, folder: Path, **more: object
) -> AsyncIterator[APIUnderTest]:
    """Open the API on a system, with more settings."""
    async with resources(settings_for(url, folder, **more)) as client:
        yield APIUnderTest(contract, handlers, resources=client)


async def a_customer(api: APIUnderTest, key: str = "C-1001") -> str:
    """Return the number of a seeded customer."""
    page = await body_of(api, "listCustomers", externalKey=key)
    found: str = page["items"][0]["id"]
    return found


def an_order(customer: str, name: str = "PO-1", *skus: str) -> dict[str, Any]:
    return {
        "customerId": customer,
        "currency": "EUR",
        "poNumber": name,
        "lines": [
            {
                "sku": sku,
                "quantity": {"value": "2"},
                "unitPrice": {"amount": "149.95", "currency": "EUR"},
            }
            for sku in skus or ("GRINDER-M1",)
        ],
    }

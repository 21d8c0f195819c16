"""The API on an org of the test's own, served on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from portico.contract import Contract, load
from portico.sandbox.running import Running
from portico.sandbox.state import State
from portico.sandbox.system import Secret
from portico.testing import APIUnderTest
from system_apis.salesforce import handlers
from system_apis.salesforce.app import Settings, resources
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.sandbox.org import DAILY_CALLS, Org
from system_apis.salesforce.sandbox.session import App
from system_apis.salesforce.sandbox.system import (
    CLIENT_ID,
    USERNAME,
    SalesforceKind,
    SalesforceSandbox,
)
from tests.support.operations import body_of
from tests.support.sandbox import SECRET, refresh, running_beside

CONTRACT = Path(__file__).parents[3] / "specs" / "openapi" / "system" / "salesforce.v1.yaml"
KEY: dict[str, object] = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


class OrgWithKey(SalesforceKind):
    """An org whose client app has registered a key as well as a secret."""

    def __init__(self, public_key_pem: str) -> None:
        self._public_key_pem = public_key_pem

    def build(self, state: State, secret: Secret) -> SalesforceSandbox:
        app = App(
            client_id=CLIENT_ID,
            client_secret=secret("salesforce"),
            username=USERNAME,
            public_key_pem=self._public_key_pem,
        )
        return SalesforceSandbox(state, app)


@pytest.fixture(scope="session")
def key_pair() -> tuple[str, str]:
    """A private and a public key as PEM."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@pytest.fixture(scope="session")
def contract() -> Contract:
    return load(CONTRACT)


@pytest.fixture(scope="session")
def one_org(key_pair: tuple[str, str]) -> Iterator[Running]:
    """An org that all tests use, one after the other."""
    with running_beside(OrgWithKey(key_pair[1])) as running:
        yield running


@pytest.fixture
def served(one_org: Running) -> Running:
    """An org, seeded with the company, of which nothing was asked yet."""
    org = org_of(one_org)
    org.sessions.revoke_all()
    org.calls, org.daily_calls, org.data.locks = 0, DAILY_CALLS, 0
    refresh(one_org)
    return one_org


@pytest.fixture
def org(served: Running) -> Org:
    """The org itself, for what a test does behind the back of the API."""
    return org_of(served)


def org_of(running: Running) -> Org:
    assert isinstance(running.sandbox, SalesforceSandbox)
    return running.sandbox.org


@pytest.fixture
async def client(served: Running, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Salesforce]:
    del anyio_backend
    async with resources(settings_for(served.url, tmp_path)) as opened:
        yield opened


@pytest.fixture
def api(client: Salesforce, contract: Contract) -> APIUnderTest:
    return APIUnderTest(contract, handlers, resources=client)


def settings_for(url: str, folder: Path, **more: object) -> Settings:
    """Return the settings of the API for an org at a URL, with its references in a folder."""
    flow: dict[str, Any] = {"client_secret": SECRET}
    references = f"sqlite:///{folder / 'references.sqlite'}"
    return Settings.model_validate(
        {"base_url": url, "client_id": CLIENT_ID, "references_url": references, **flow, **more}
    )


@asynccontextmanager
async def opened(
    contract: Contract, url: str, folder: Path, **more: object
) -> AsyncIterator[APIUnderTest]:
    """Open the API on an org, with more settings."""
    async with resources(settings_for(url, folder, **more)) as client:
        yield APIUnderTest(contract, handlers, resources=client)


async def an_account(api: APIUnderTest, key: str = "C-1001") -> str:
    """Return the id of the account of a seeded customer."""
    page = await body_of(api, "listCustomers", externalKey=key)
    found: str = page["items"][0]["id"]
    return found


def an_order(account: str, name: str = "PO-1", *skus: str) -> dict[str, Any]:
    return {
        "customerId": account,
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

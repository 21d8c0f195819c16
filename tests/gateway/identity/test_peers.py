"""Independent OAuth clients over a real connection: what they send is accepted as it is."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette

from gateway.identity.clients import ClientRecord, ClientRegistry, hash_secret
from gateway.identity.server.routes import ServerParts, routes
from gateway.identity.tokens import TokenIssuer
from tests.gateway.identity.checking import Checker
from tests.gateway.identity.forging import bearer
from tests.support.loopback import on_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.identity.keys import KeyRing

with warnings.catch_warnings():
    # It announces that it will move from httpx to httpx2.
    warnings.simplefilter("ignore")
    from authlib.integrations.base_client.errors import OAuthError
    from authlib.integrations.httpx_client import AsyncOAuth2Client

pytestmark = pytest.mark.anyio

SECRET = "correct-horse-battery-staple"
SCOPES = {"orders:read", "orders:write"}


@pytest.fixture
async def address(keys: KeyRing) -> AsyncIterator[str]:
    """Serve the issuer on a free loopback port and return its address."""

    def make(address: str) -> Starlette:
        issuer = TokenIssuer(keys, issuer=address, audience=address)
        client = ClientRecord(
            client_id="warehouse",
            secret_hashes=(hash_secret(SECRET),),
            scopes=frozenset(SCOPES),
        )
        parts = ServerParts(
            issuer=issuer, keys=keys, clients=ClientRegistry([client]), scopes=SCOPES
        )
        return Starlette(routes=routes(parts))

    async with on_loopback(make) as address:
        yield address


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_authlibs_client_gets_a_token_that_verifies(
    address: str, keys: KeyRing, method: str
) -> None:
    async with AsyncOAuth2Client(
        "warehouse", SECRET, token_endpoint_auth_method=method, scope="orders:read"
    ) as client:
        metadata = (
            await client.request(
                "GET", f"{address}/.well-known/oauth-authorization-server", withhold_token=True
            )
        ).json()
        token = await client.fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials"
        )

    assert token["token_type"] == "Bearer"
    caller = Checker(keys, issuer=address, audience=address).verify(bearer(token["access_token"]))
    assert caller.client_id == "warehouse"
    assert caller.scopes == {"orders:read"}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_authlibs_client_understands_the_refusals(address: str, method: str) -> None:
    async with AsyncOAuth2Client(
        "warehouse", "not-the-secret", token_endpoint_auth_method=method
    ) as client:
        with pytest.raises(OAuthError, match="invalid_client"):
            await client.fetch_token(f"{address}/oauth2/token", grant_type="client_credentials")
    async with AsyncOAuth2Client("warehouse", SECRET, scope="everything") as client:
        with pytest.raises(OAuthError, match="invalid_scope"):
            await client.fetch_token(f"{address}/oauth2/token", grant_type="client_credentials")


async def test_curl_gets_a_token(address: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "curl",
        "--silent",
        "--user",
        f"warehouse:{SECRET}",
        "--data",
        "grant_type=client_credentials",
        f"{address}/oauth2/token",
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)

    assert b'"token_type":"Bearer"' in output

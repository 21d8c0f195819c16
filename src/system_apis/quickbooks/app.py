"""How this API reaches its QuickBooks company, and the client its handlers share.

Not verified against Intuit: that a refresh token is accepted for a day after it was exchanged. If
it is not, a process that ends between receiving a new one and saving it is to be authorized anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import AnyHttpUrl, Field, SecretStr

from portico.connectors.budget import Rate
from portico.connectors.connection import open_connection
from portico.connectors.grants import RefreshToken, TokenEndpoint
from portico.connectors.oauth import OAuthCredentials
from portico.connectors.refresh_tokens import RefreshTokenFile
from portico.connectors.wire import ConnectionSettings, Wire
from portico.crossref.store import open_cross_references
from system_apis.quickbooks.connector import QuickBooks
from system_apis.quickbooks.dialect import DIALECT

# Requests that QuickBooks works on at a time for one app and company.
MAX_CONCURRENT = 10


class Settings(ConnectionSettings):
    """Where QuickBooks is, who we are there, and which company is meant."""

    base_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("https://quickbooks.api.intuit.com"),
        description="the address of the API; that of a sandbox begins with sandbox-quickbooks",
    )
    token_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"),
        description="where Intuit issues tokens",
    )
    client_id: str = Field(min_length=1, description="the client id of the app")
    client_secret: SecretStr = Field(min_length=1, description="its secret")
    refresh_token: SecretStr = Field(
        min_length=1,
        description="what the company's administrator got when the app was connected; it is only "
        "the first, those that follow are kept in `tokens`",
    )
    realm_id: str = Field(pattern=r"^[0-9]{1,20}$", description="the id of the company")
    currency: str = Field(
        default="USD", pattern=r"^[A-Z]{3}$", description="the home currency of the company"
    )
    requests_per_minute: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="what this process may ask; processes of one company share 500",
    )
    requests_per_second: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="what this process may ask; processes of one company share 10",
    )
    references_url: str = Field(
        description="the database of the cross-references, as `references.url` has it"
    )
    tokens: Path = Field(description="the folder for refresh tokens, which change all the time")


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[QuickBooks]:
    """Open what the handlers find in `call.resources`."""

    def credentials(wire: Wire) -> OAuthCredentials:
        endpoint = TokenEndpoint(
            wire,
            str(settings.token_url),
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
        )
        file = settings.tokens / f"quickbooks-{settings.realm_id}.json"
        store = RefreshTokenFile(file, settings.refresh_token.get_secret_value())
        return OAuthCredentials(RefreshToken(endpoint, store))

    rates = [
        Rate(count=settings.requests_per_minute, seconds=60.0),
        # What begins a second apart here may arrive a little closer together there.
        Rate(count=settings.requests_per_second, seconds=1.1),
    ]
    async with (
        open_cross_references(settings.references_url) as references,
        open_connection(
            settings, DIALECT, credentials, rates=rates, concurrent=MAX_CONCURRENT
        ) as connection,
    ):
        yield QuickBooks(
            connection, references, realm_id=settings.realm_id, currency=settings.currency
        )

"""How this API reaches its Stripe account, and the client its handlers share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import AnyHttpUrl, Field, SecretStr

from portico.connectors.budget import Rate
from portico.connectors.connection import open_connection
from portico.connectors.credentials import FixedCredentials
from portico.connectors.wire import ConnectionSettings, Wire
from portico.crossref.store import open_cross_references
from system_apis.stripe.connector import Stripe
from system_apis.stripe.dialect import DIALECT

# The version whose objects are mapped here; Stripe answers in it whatever the account's own is.
API_VERSION = "2026-10-28.endive"


class Settings(ConnectionSettings):
    """Where Stripe is and who we are there."""

    base_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("https://api.stripe.com"), description="the address of Stripe"
    )
    api_key: SecretStr = Field(min_length=8, description="a secret or, better, a restricted key")
    account: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="the id of the account, acct_…; it is part of every external id",
    )
    requests_per_second: int = Field(
        default=25,
        ge=1,
        le=1000,
        description="what this process may ask; Stripe allows 25 in a sandbox, 100 live",
    )
    references_url: str = Field(
        description="the database of the cross-references, as `references.url` has it"
    )


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Stripe]:
    """Open what the handlers find in `call.resources`."""
    headers = {
        "authorization": f"Bearer {settings.api_key.get_secret_value()}",
        "stripe-version": API_VERSION,
    }

    def credentials(_wire: Wire) -> FixedCredentials:
        return FixedCredentials(headers)

    rates = [Rate(count=settings.requests_per_second, seconds=1.0)]
    async with (
        open_cross_references(settings.references_url) as references,
        open_connection(settings, DIALECT, credentials, rates=rates) as connection,
    ):
        yield Stripe(connection, references, account=settings.account)

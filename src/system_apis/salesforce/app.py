"""How this API reaches its org, and the client its handlers share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from pydantic import Field, SecretStr, model_validator

from portico.connectors.connection import open_connection
from portico.connectors.grants import ClientCredentials, JWTBearer, TokenEndpoint
from portico.connectors.oauth import Grant, OAuthCredentials
from portico.connectors.wire import ConnectionSettings, Wire
from portico.crossref.store import open_cross_references
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.dialect import DIALECT
from system_apis.salesforce.org import Org


class Settings(ConnectionSettings):
    """Where the org is, who we are there, and how it is set up.

    With `client_secret` the token is that of the client credentials flow, with `private_key` that
    of the JWT bearer flow.
    """

    client_id: str = Field(min_length=1, description="the consumer key of the external client app")
    client_secret: SecretStr | None = Field(
        default=None, min_length=1, description="its secret, for the client credentials flow"
    )
    private_key: SecretStr | None = Field(
        default=None, min_length=1, description="the RSA key as PEM, for the JWT bearer flow"
    )
    username: str = Field(default="", description="whom the JWT bearer flow acts for")
    audience: str = Field(
        default="https://login.salesforce.com",
        description="the audience of that flow; https://test.salesforce.com for a sandbox",
    )
    api_version: str = Field(
        default="68.0", pattern=r"^[1-9][0-9]{1,2}\.0$", description="the version of the REST API"
    )
    external_id_field: str = Field(
        default="Ext_Id__c",
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$",
        description="the field of accounts, contacts, opportunities and orders for external keys: "
        "text, external id, unique",
    )
    currency: str = Field(
        default="",
        pattern=r"^([A-Z]{3})?$",
        description="the currency of an org without multiple currencies; leave it out elsewhere",
    )
    country_codes: bool = Field(
        default=True, description="whether the org has state and country picklists"
    )
    price_book: str = Field(
        default="", description="the price book of orders; without a name, the standard one"
    )
    activated_status: str = Field(
        default="Activated", min_length=1, description="the order status that activates an order"
    )
    service_families: tuple[str, ...] = Field(
        default=("Services",), description="product families of services; all others are goods"
    )
    reserved_calls: int = Field(
        default=500, ge=0, description="calls of the org's day that lists leave to writes"
    )

    references_url: str = Field(
        description="the database of the cross-references, as `references.url` has it"
    )

    @model_validator(mode="after")
    def _one_flow(self) -> Self:
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("give either client_secret or private_key")
        if self.private_key is not None and not self.username:
            raise ValueError("private_key needs a username")
        if self.private_key is not None:
            _check_key(self.private_key)
        return self

    def org(self) -> Org:
        return Org(
            instance=self.base_url.host or "",
            external_id_field=self.external_id_field,
            currency=self.currency,
            country_codes=self.country_codes,
            price_book=self.price_book,
            activated_status=self.activated_status,
            service_families=self.service_families,
        )


def _check_key(key: SecretStr) -> None:
    try:
        RSAKey.import_key(key.get_secret_value())
    except (JoseError, ValueError):
        raise ValueError("private_key is not an RSA key in PEM") from None


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Salesforce]:
    """Open what the handlers find in `call.resources`."""

    def credentials(wire: Wire) -> OAuthCredentials:
        return OAuthCredentials(_grant(settings, wire))

    async with (
        open_cross_references(settings.references_url) as references,
        open_connection(settings, DIALECT, credentials) as connection,
    ):
        yield Salesforce(
            connection,
            references,
            settings.org(),
            version=settings.api_version,
            reserved_calls=settings.reserved_calls,
        )


def _grant(settings: Settings, wire: Wire) -> Grant:
    url = f"{str(settings.base_url).rstrip('/')}/services/oauth2/token"
    if settings.private_key is not None:
        claims = {
            "iss": settings.client_id,
            "sub": settings.username,
            "aud": settings.audience,
        }
        return JWTBearer(
            TokenEndpoint(wire, url),
            private_key=settings.private_key.get_secret_value(),
            claims=claims,
        )
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    return ClientCredentials(
        TokenEndpoint(wire, url, client_id=settings.client_id, client_secret=secret)
    )

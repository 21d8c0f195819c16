"""How this API reaches its S/4HANA, and the client its handlers share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from pydantic import AnyHttpUrl, Field, SecretStr, model_validator

from portico.connectors.connection import open_connection
from portico.connectors.credentials import Credentials, basic
from portico.connectors.grants import ClientCredentials, TokenEndpoint
from portico.connectors.oauth import OAuthCredentials
from portico.connectors.wire import ConnectionSettings, Wire
from portico.crossref.store import open_cross_references
from system_apis.sap.connector import SAP
from system_apis.sap.csrf import CSRFCredentials
from system_apis.sap.dialect import DIALECT
from system_apis.sap.s4 import S4


class Settings(ConnectionSettings):
    """Where the S/4HANA is, who we are there, and which sales area orders go to.

    Either the communication user with its password, or a client of the OAuth token endpoint.
    """

    max_connections: int = Field(
        default=8, ge=1, le=64, description="requests that the system works on for us at a time"
    )
    user: str = Field(default="", description="the communication user")
    password: SecretStr | None = Field(default=None, min_length=1, description="its password")
    client_id: str = Field(default="", description="the OAuth client")
    client_secret: SecretStr | None = Field(default=None, min_length=1, description="its secret")
    token_url: AnyHttpUrl | None = Field(default=None, description="where it gets its tokens")
    client: str = Field(
        default="", pattern=r"^([0-9]{3})?$", description="the SAP client; empty for the default"
    )
    order_type: str = Field(default="OR", pattern=r"^[A-Z0-9]{2,4}$", description="of new orders")
    sales_organization: str = Field(default="1010", max_length=4, description="of new orders")
    distribution_channel: str = Field(default="10", max_length=2, description="of new orders")
    division: str = Field(default="00", max_length=2, description="of new orders")
    price_condition: str = Field(
        default="PR00",
        pattern=r"^[A-Z0-9]{4}$",
        description="the condition type of a price for one unit",
    )
    language: str = Field(
        default="EN", pattern=r"^[A-Z]{2}$", description="the language of product descriptions"
    )
    references_url: str = Field(
        description="the database of the cross-references, as `references.url` has it"
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        with_password = bool(self.user) and self.password is not None
        with_client = (
            bool(self.client_id) and self.client_secret is not None and self.token_url is not None
        )
        if with_password == with_client:
            raise ValueError("give user and password, or client_id, client_secret and token_url")
        return self

    def s4(self) -> S4:
        host = self.base_url.host or ""
        return S4(
            # Two clients of one system use the same numbers for different records.
            instance=f"{host}/{self.client}" if self.client else host,
            order_type=self.order_type,
            sales_organization=self.sales_organization,
            distribution_channel=self.distribution_channel,
            division=self.division,
            price_condition=self.price_condition,
            language=self.language,
        )


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[SAP]:
    """Open what the handlers find in `call.resources`."""

    def credentials(wire: Wire) -> CSRFCredentials:
        inner = _credentials(settings, wire)
        return CSRFCredentials(inner, wire, str(settings.base_url))

    async with (
        open_cross_references(settings.references_url) as references,
        open_connection(settings, DIALECT, credentials) as connection,
    ):
        yield SAP(connection, references, settings.s4(), client=settings.client)


def _credentials(settings: Settings, wire: Wire) -> Credentials:
    if settings.password is not None:
        return basic(settings.user, settings.password.get_secret_value())
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    endpoint = TokenEndpoint(
        wire, str(settings.token_url), client_id=settings.client_id, client_secret=secret
    )
    return OAuthCredentials(ClientCredentials(endpoint))

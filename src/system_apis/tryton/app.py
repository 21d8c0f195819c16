"""How this API reaches its Tryton, and the client its handlers share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import AnyHttpUrl, Field, SecretStr

from portico.connectors.connection import open_connection
from portico.connectors.credentials import FixedCredentials
from portico.connectors.wire import ConnectionSettings, Wire
from system_apis.tryton.connector import Tryton
from system_apis.tryton.rest import DIALECT


class Settings(ConnectionSettings):
    """Where Tryton is and who we are there."""

    base_url: AnyHttpUrl = Field(
        description="Tryton's address with the database, such as http://127.0.0.1:8000/erp"
    )
    key: SecretStr = Field(
        min_length=16, description="the approved key of a user application of kind REST"
    )
    company: int | None = Field(
        default=None, ge=1, description="id of the company, needed if the user sees several"
    )


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Tryton]:
    """Open what the handlers find in `call.resources`."""
    headers = {
        "authorization": f"bearer {settings.key.get_secret_value()}",
        "accept": "application/json",
    }

    def credentials(_wire: Wire) -> FixedCredentials:
        return FixedCredentials(headers)

    async with open_connection(settings, DIALECT, credentials) as connection:
        instance = connection.base_url.rpartition("/")[2]
        yield Tryton(connection, instance=instance, company=settings.company)

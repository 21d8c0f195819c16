"""How this API reaches its Tryton, and the client its handlers share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr

from system_apis.tryton.connector import Tryton

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Settings(BaseModel):
    """Where Tryton is and who we are there. Decoded strictly: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: AnyHttpUrl = Field(
        description="Tryton's address with the database, such as http://127.0.0.1:8000/erp"
    )
    key: SecretStr = Field(
        min_length=16, description="the approved key of a user application of kind REST"
    )
    company: int | None = Field(
        default=None, ge=1, description="id of the company, needed if the user sees several"
    )
    max_connections: int = Field(
        default=16, ge=1, le=256, description="requests that Tryton works on for us at a time"
    )
    connect_timeout_seconds: float = Field(
        default=2.0, gt=0, le=60, description="how long a new connection may take"
    )


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Tryton]:
    """Open what the handlers find in `call.resources`."""
    base_url = str(settings.base_url).rstrip("/")
    limits = httpx.Limits(
        max_connections=settings.max_connections,
        max_keepalive_connections=settings.max_connections,
    )
    headers = {
        "authorization": f"bearer {settings.key.get_secret_value()}",
        "accept": "application/json",
    }
    # Proxies of the environment are for the way to the internet, not for the ERP next door.
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, limits=limits, trust_env=False
    ) as http:
        yield Tryton(
            http,
            instance=base_url.rpartition("/")[2],
            company=settings.company,
            connect_seconds=settings.connect_timeout_seconds,
        )

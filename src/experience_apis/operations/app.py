"""What the handlers of this API work with: dead letters, workflows, subscribers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from portico.durable import Durable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Settings(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@asynccontextmanager
async def resources(settings: Settings, durable: Durable) -> AsyncIterator[Durable]:
    """Pass on what the gateway opens."""
    del settings
    yield durable

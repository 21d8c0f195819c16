"""What the handlers of this API work with, and how patient its workflow is."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from portico.durable import Durable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Settings(BaseModel):
    """How patient the workflow is, and how it hears of subscriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retry_seconds: float = Field(
        default=300.0, gt=0, le=86_400, description="how long it waits before it tries again"
    )
    door: str = Field(default="stripe", description="the door that Stripe's webhooks come through")
    withdrawal_days: float = Field(
        default=14.0,
        ge=0,
        le=3660,
        description="how long after its start a subscription that ends is credited what was paid",
    )
    poll: str = Field(
        default="0 */5 * * * *",
        description="when missed webhooks are looked for, as cron with seconds; empty is never",
    )


@asynccontextmanager
async def resources(settings: Settings, durable: Durable) -> AsyncIterator[Durable]:
    """Pass on what the gateway opens."""
    del settings
    yield durable

"""What the handlers of this API work with, and how patient the placing of an order is."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from portico.durable import Durable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Settings(BaseModel):
    """How long a caller waits for an order to be placed, and what failed to be tried again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer_seconds: float = Field(
        default=10.0, gt=0, le=300, description="after what time the answer is 202 instead of 201"
    )
    first_retry_seconds: float = Field(
        default=0.5, gt=0, le=86_400, description="how soon it tries again; later ever less soon"
    )
    retry_seconds: float = Field(
        default=30.0, gt=0, le=86_400, description="how long it waits at most before a further try"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """What places orders, and how long a caller waits for it."""

    durable: Durable
    answer_seconds: float


@asynccontextmanager
async def resources(settings: Settings, durable: Durable) -> AsyncIterator[Placing]:
    """Pass on what the gateway opens."""
    yield Placing(durable=durable, answer_seconds=settings.answer_seconds)

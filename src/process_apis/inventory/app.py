"""Which systems say what there is, and how long their word is good."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from portico.durable import Durable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ERP = "tryton"


class Source(BaseModel):
    """A system that counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,31}$", description="its name, `tryton` for the ERP"
    )
    stale_seconds: float = Field(
        default=86_400.0, gt=0, description="after what time without a word it is stale"
    )


class Settings(BaseModel):
    """The systems, and when the ERP is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[Source, ...] = Field(
        default=(
            Source(name="wms"),
            Source(name="shop"),
            # Three looks: one that fails makes nothing stale.
            Source(name=ERP, stale_seconds=180.0),
        ),
        max_length=50,
        description="the systems; where several count at one location, the first one does",
    )
    poll: str = Field(
        default="0 * * * * *",
        description="when the ERP is asked what changed, as cron with seconds; empty is never",
    )
    sweep: str = Field(
        default="0 30 3 * * *",
        description="when the ERP is asked for everything, as cron with seconds; empty is never",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What is known of stock, and of whom."""

    durable: Durable
    sources: Sequence[Source]


@asynccontextmanager
async def resources(settings: Settings, durable: Durable) -> AsyncIterator[Stock]:
    """Pass on what the gateway opens."""
    yield Stock(durable=durable, sources=settings.sources)

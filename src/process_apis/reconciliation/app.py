"""What the handlers of this API work with, and how its runs go about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from portico.durable import Durable
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.desk import Desk
from process_apis.reconciliation.domain import Kind, SubjectName, System


class Exempt(BaseModel):
    """Differences that are none here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: SubjectName
    kind: Kind
    system: System


# What the shop sells goes to the ERP alone; that the CRM does not know it is no mistake.
SHOP_ORDERS = Exempt(subject="orders", kind="only_in", system="tryton")


class Settings(BaseModel):
    """When runs are made, what they look at, and what they overlook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: str = Field(
        default="0 40 2 * * *",
        description="when everything is compared, as cron with seconds; empty is never",
    )
    period_days: int = Field(
        default=35, ge=1, le=3660, description="how far back a run looks that is not told"
    )
    lookback_days: int = Field(
        default=92, ge=2, le=3660, description="how much older a counterpart may be"
    )
    settling_seconds: int = Field(
        default=3600, ge=0, le=604_800, description="how long records are left to settle"
    )
    amount_tolerance: Decimal = Field(
        default=Decimal(0), ge=0, le=1000, description="by how much amounts may differ"
    )
    books_prefix: str = Field(
        default="",
        max_length=20,
        description="what the numbers of those invoices in the books begin with that are compared",
    )
    exempt: Sequence[Exempt] = Field(
        default=(SHOP_ORDERS,), max_length=50, description="what is not reported"
    )
    retry_seconds: float = Field(
        default=300.0, gt=0, le=86_400, description="when a system that is down is tried again"
    )
    retries: int = Field(default=12, ge=0, le=1000, description="and how often")
    max_records: int = Field(
        default=2_000_000, ge=1, le=50_000_000, description="the longest list that is read"
    )
    retention_days: int = Field(
        default=180, ge=1, le=3660, description="how long runs and resolved findings are kept"
    )


@asynccontextmanager
async def resources(settings: Settings, durable: Durable) -> AsyncIterator[Desk]:
    """Open what the handlers find in `call.resources`."""
    yield Desk(durable, Database(durable), settings.period_days)

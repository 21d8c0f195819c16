"""What the handlers and workflows of this API work with, and who masters which field."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from portico.crossref.engine import Database, open_engine
from portico.crossref.store import CrossReferences, open_cross_references
from portico.crossref.watermarks import Watermarks
from portico.durable import Durable
from process_apis.customer_sync.conflicts import Conflicts
from process_apis.customer_sync.fields import HOLDERS, SYSTEMS
from process_apis.customer_sync.store import Customers, LookStates, Records
from process_apis.customer_sync.tables import create_tables

OwnerName = Literal["salesforce", "tryton", "quickbooks", "nobody"]
OWNERS: dict[str, OwnerName] = {
    "name": "salesforce",
    "phone": "salesforce",
    "email": "quickbooks",
    "taxId": "tryton",
    "billingAddress": "nobody",
}


class Settings(BaseModel):
    """Who masters what, and how often the systems are looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owners: dict[str, OwnerName] = Field(
        default={},
        description="the system that masters a field, or nobody; fields that are left out have "
        "the owner that the contract names",
    )
    create_in: tuple[Literal["salesforce", "tryton", "quickbooks"], ...] = Field(
        default=("salesforce", "tryton", "quickbooks"),
        description="the systems that customers of the others are created in",
    )
    instances: dict[str, str] = Field(
        default={},
        description="the instance of a system; needed only for one without any customer, others "
        "say it themselves",
    )
    poll: str = Field(
        default="",
        description="when each system is asked for its changes, as cron with seconds, such as "
        "`0 * * * * *`; empty is never: customers are kept in step only where this is set",
    )
    retention_days: int = Field(
        default=365,
        ge=1,
        le=3660,
        description="how long the history of customers and resolved conflicts are kept",
    )
    references_url: str = Field(
        description="the database of the cross-references, as `references.url` has it"
    )

    @field_validator("owners")
    @classmethod
    def _are_held(cls, owners: dict[str, OwnerName]) -> dict[str, OwnerName]:
        """Refuse a field there is not, and an owner that does not hold its field."""
        for name, owner in owners.items():
            if name not in HOLDERS:
                raise ValueError(f"there is no field {name}; they are {', '.join(HOLDERS)}")
            if owner != "nobody" and owner not in HOLDERS[name]:
                raise ValueError(f"{owner} does not hold {name}: {', '.join(HOLDERS[name])} do")
        return owners

    @field_validator("instances")
    @classmethod
    def _are_systems(cls, instances: dict[str, str]) -> dict[str, str]:
        for system in instances:
            if system not in SYSTEMS:
                raise ValueError(f"there is no system {system}; they are {', '.join(SYSTEMS)}")
        return instances

    @property
    def owner_by_field(self) -> Mapping[str, str]:
        """Return the systems that master fields; a field of nobody is not among them."""
        chosen = {**OWNERS, **self.owners}
        return {name: owner for name, owner in chosen.items() if owner in SYSTEMS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The open stores, and what outlasts a request."""

    settings: Settings
    references: CrossReferences
    marks: Watermarks
    database: Database
    customers: Customers
    records: Records
    conflicts: Conflicts
    looks: LookStates
    durable: Durable


@asynccontextmanager
async def resources(settings: Settings, durable: Durable) -> AsyncIterator[Parts]:
    """Open what the handlers find in `call.resources`, and the workflows are given."""
    async with open_cross_references(settings.references_url) as references:
        engine = open_engine(settings.references_url)
        try:
            await asyncio.to_thread(create_tables, engine)
            database = Database(engine)
            yield Parts(
                settings=settings,
                references=references,
                marks=Watermarks(engine),
                database=database,
                customers=Customers(database),
                records=Records(database),
                conflicts=Conflicts(database),
                looks=LookStates(database),
                durable=durable,
            )
        finally:
            await asyncio.to_thread(engine.dispose)

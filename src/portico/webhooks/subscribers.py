"""Who gets which events: subscribers, and which of them are disabled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import DISABLED_SUBSCRIBERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A receiver of events. `secrets` has the new one and, while it is rolled out, the old.

    An `ordered` one gets an event only when the one before has arrived or was given up.
    """

    name: str
    url: str
    types: Sequence[str]
    secrets: Sequence[bytes]
    ordered: bool = False


class Subscribers:
    """The configured subscribers, and what happened to them."""

    def __init__(
        self, database: WorkflowDatabase, engine: AsyncEngine, configured: Sequence[Subscriber]
    ) -> None:
        self._insert = database.insert(DISABLED_SUBSCRIBERS)
        self._engine = engine
        self.by_name: Mapping[str, Subscriber] = {one.name: one for one in configured}

    def wanting(self, event_type: str) -> list[Subscriber]:
        """Return the subscribers of a type."""
        return [one for one in self.by_name.values() if event_type in one.types]

    @property
    def types(self) -> list[str]:
        return sorted({name for one in self.by_name.values() for name in one.types})

    async def disabled(self) -> dict[str, str]:
        """Return the disabled ones and why."""
        columns = DISABLED_SUBSCRIBERS.c
        async with self._engine.connect() as connection:
            rows = await connection.execute(sa.select(columns.name, columns.reason))
            return {row[0]: row[1] for row in rows}

    async def disable(self, name: str, reason: str) -> None:
        """Send a subscriber nothing more until it is enabled."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        insert = self._insert.values(name=name, reason=reason, since=now)
        async with self._engine.begin() as connection:
            await connection.execute(insert.on_conflict_do_nothing(index_elements=["name"]))

    async def enable(self, name: str) -> bool:
        """Send to a subscriber again; False if it was not disabled."""
        delete = sa.delete(DISABLED_SUBSCRIBERS).where(DISABLED_SUBSCRIBERS.c.name == name)
        async with self._engine.begin() as connection:
            return (await connection.execute(delete)).rowcount == 1

"""What one run found out and others go by: written once, the same for all of them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import NOTES
from portico.workflow.transactions import in_step

# A note that no run asked for in more than a year is of no use: yearly business asks once a year.
KEPT_SECONDS = 400 * 86_400.0


class Notes:
    """Notes by name. Within a workflow, reading and keeping one is a step."""

    def __init__(self, database: WorkflowDatabase, engine: AsyncEngine) -> None:
        self._database = database
        self._engine = engine

    async def read(self, name: str) -> str:
        """Return a note, or nothing where there is none."""

        async def query(connection: AsyncConnection) -> str:
            touched = sa.update(NOTES).where(NOTES.c.name == name)
            await connection.execute(touched.values(touched_at=self._database.now()))
            return await _value(connection, name)

        return await in_step(self._engine, "read the note", query)

    async def keep(self, name: str, value: str) -> str:
        """Write a note unless it is there, and return the one that stands."""
        now = self._database.now()
        insert = self._database.insert(NOTES).values(name=name, value=value, touched_at=now)
        written = insert.on_conflict_do_update(
            index_elements=["name"], set_={"touched_at": insert.excluded.touched_at}
        )

        async def query(connection: AsyncConnection) -> str:
            await connection.execute(written)
            return await _value(connection, name)

        return await in_step(self._engine, "keep the note", query)

    async def forget(self) -> None:
        """Delete what nobody asked for any more."""
        old = NOTES.c.touched_at < self._database.now() - KEPT_SECONDS

        async def query(connection: AsyncConnection) -> str:
            await connection.execute(sa.delete(NOTES).where(old))
            return ""

        await in_step(self._engine, "forget notes", query)


async def _value(connection: AsyncConnection, name: str) -> str:
    found = sa.select(NOTES.c.value).where(NOTES.c.name == name)
    return (await connection.execute(found)).scalar() or ""

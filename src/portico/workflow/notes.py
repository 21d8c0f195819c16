"""What one run found out and others go by: written once, the same for all of them.

Keeping a note again does nothing, so it needs no transaction with the journal: such a transaction
holds SQLite's only writer while it waits for one of the engine's threads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import NOTES

# A note that no run asked for in more than a year is of no use: yearly business asks once a year.
KEPT_SECONDS = 400 * 86_400.0
Query = Callable[[AsyncConnection], Awaitable[str]]


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

        return await self._run("read the note", query)

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

        return await self._run("keep the note", query)

    async def forget(self) -> None:
        """Delete what nobody asked for any more."""
        old = NOTES.c.touched_at < self._database.now() - KEPT_SECONDS

        async def query(connection: AsyncConnection) -> str:
            await connection.execute(sa.delete(NOTES).where(old))
            return ""

        await self._run("forget notes", query)

    async def _run(self, name: str, query: Query) -> str:
        async def committed() -> str:
            async with self._engine.begin() as connection:
                return await query(connection)

        if DBOS.workflow_id is None:
            return await committed()
        return await DBOS.run_step_async({"name": name}, committed)


async def _value(connection: AsyncConnection, name: str) -> str:
    found = sa.select(NOTES.c.value).where(NOTES.c.name == name)
    return (await connection.execute(found)).scalar() or ""

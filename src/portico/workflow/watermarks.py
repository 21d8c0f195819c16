"""How far something was read that has no end, such as the events of a system."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import WATERMARKS
from portico.workflow.transactions import in_step


class Watermarks:
    """Marks by name. Within a workflow, reading and moving one is a step."""

    def __init__(self, database: WorkflowDatabase, engine: AsyncEngine) -> None:
        self._database = database
        self._engine = engine

    async def read(self, name: str) -> str:
        """Return a mark, or nothing where there is none yet."""

        async def query(connection: AsyncConnection) -> str:
            found = sa.select(WATERMARKS.c.value).where(WATERMARKS.c.name == name)
            return (await connection.execute(found)).scalar() or ""

        return await in_step(self._engine, "read the watermark", query)

    async def move(self, name: str, value: str) -> None:
        """Move a mark forward; one that is further stays."""
        insert = self._database.insert(WATERMARKS).values(name=name, value=value)
        moved = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"value": insert.excluded.value},
            where=WATERMARKS.c.value < insert.excluded.value,
        )

        async def query(connection: AsyncConnection) -> None:
            await connection.execute(moved)

        await in_step(self._engine, "move the watermark", query)

"""How far something was read that has no end, such as the events of a system."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import WATERMARKS
from portico.workflow.transactions import Transactions


class Watermarks:
    """Marks by name. Within a workflow, reading and moving one is a step."""

    def __init__(self, database: WorkflowDatabase, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def read(self, name: str) -> str:
        """Return a mark, or nothing where there is none yet."""

        async def query(session: AsyncSession) -> str:
            found = sa.select(WATERMARKS.c.value).where(WATERMARKS.c.name == name)
            return (await session.execute(found)).scalar() or ""

        return await self._transactions.run("read the watermark", query)

    async def move(self, name: str, value: str) -> None:
        """Move a mark forward; one that is further stays."""
        insert = self._database.insert(WATERMARKS).values(name=name, value=value)
        moved = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"value": insert.excluded.value},
            where=WATERMARKS.c.value < insert.excluded.value,
        )

        async def write(session: AsyncSession) -> None:
            await session.execute(moved)

        await self._transactions.run("move the watermark", write)

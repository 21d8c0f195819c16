"""Writes to the workflow database that are one with the step that makes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import sqlalchemy as sa
from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSPortableJSONSerializer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from portico.workflow.database import WorkflowDatabase

R = TypeVar("R")


class Transactions:
    """Runs functions in transactions; within a workflow each is a step of it.

    What the function writes and the journal's note that it ran are committed together. A crash
    leaves both or neither, and a replay gets the recorded result.
    """

    def __init__(self, datasource: AsyncSQLAlchemyDatasource, engine: AsyncEngine) -> None:
        self._datasource = datasource
        self._locks_first = engine.dialect.name == "sqlite"
        self.engine = engine

    @classmethod
    async def create(cls, database: WorkflowDatabase, engine: AsyncEngine) -> Transactions:
        """Return the transactions of a database; made before the engine is launched."""
        datasource = await AsyncSQLAlchemyDatasource.create(
            database.text, engine=engine, serializer=DBOSPortableJSONSerializer()
        )
        return cls(datasource, engine)

    async def run(self, name: str, function: Callable[[AsyncSession], Awaitable[R]]) -> R:
        """Return what the function returns, which is JSON. Within a workflow it is a step."""

        async def body() -> R:
            session = self._datasource.sql_session()
            if self._locks_first:
                # SQLite cannot make a writer of a reader while another process writes.
                await session.execute(sa.text("BEGIN IMMEDIATE"))
            return await function(session)

        options = {"name": name, "isolation_level": "READ COMMITTED"}
        if self._locks_first:
            options["isolation_level"] = "SERIALIZABLE"  # the only one that SQLite has
        return await self._datasource.run_tx_step_async(options, body)  # type: ignore[arg-type]  # a TypedDict of the same members


async def in_step(
    engine: AsyncEngine, name: str, query: Callable[[AsyncConnection], Awaitable[R]]
) -> R:
    """Return what a query returns that does no harm when it is run again; in a workflow, a step.

    It has a transaction of its own, which is over before the journal notes that it ran. One with
    the journal holds SQLite's only writer while it waits for a thread of the engine, and those may
    all be waiting for the writer.
    """

    async def committed() -> R:
        async with engine.begin() as connection:
            return await query(connection)

    if DBOS.workflow_id is None:
        return await committed()
    return await DBOS.run_step_async({"name": name}, committed)

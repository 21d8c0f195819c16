"""The workflow database, with the tables of this API in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portico.durable import Durable
from portico.problems import UNAVAILABLE, Problem
from portico.workflow.database import writing
from portico.workflow.tables import create_tables
from portico.workflow.workflows import RETRY_AFTER_SECONDS
from process_apis.reconciliation.tables import METADATA


class Database:
    """Transactions; the tables are made before the first one."""

    def __init__(self, durable: Durable) -> None:
        self._durable = durable
        self._made_in: AsyncEngine | None = None
        self._making = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection to read with; raises Problem 503 when the database is away."""
        engine = await self._engine()
        with _answering():
            async with engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction; raises Problem 503 when the database is away."""
        engine = await self._engine()
        with _answering():
            async with writing(engine) as connection:
                yield connection

    async def _engine(self) -> AsyncEngine:
        engine = (await self._durable.ready()).workflows.transactions.engine
        async with self._making:
            if self._made_in is not engine:
                with _answering():
                    await create_tables(engine, METADATA)
                self._made_in = engine
        return engine


@contextmanager
def _answering() -> Iterator[None]:
    """Turn the silence of the database into a problem."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise Problem(
            UNAVAILABLE,
            "the workflow database does not answer; nothing is lost if this is sent again",
            headers=[("Retry-After", str(RETRY_AFTER_SECONDS))],
        ) from error

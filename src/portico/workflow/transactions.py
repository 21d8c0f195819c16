"""Writes to the workflow database as steps of a workflow."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa
from dbos import DBOS, StepOptions
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portico.statements import insert
from portico.workflow.database import writing
from portico.workflow.tables import STEPS

R = TypeVar("R")
Query = Callable[[AsyncConnection], Awaitable[R]]
# A restart of the database is over by then; the waits double from a second.
_ATTEMPTS = 9
_AWAY = (OperationalError, InterfaceError, PoolTimeoutError, OSError)


async def in_step(engine: AsyncEngine, name: str, query: Query[R]) -> R:
    """Return what a query returns that does no harm when it is run again; in a workflow, a step.

    It has a transaction of its own, which is over before the journal notes that it ran. One with
    the journal would hold SQLite's only writer while it waits for a thread of the engine, and those
    may all be waiting for the writer.
    """

    async def committed() -> R:
        async with writing(engine) as connection:
            return await query(connection)

    if DBOS.workflow_id is None:
        return await committed()
    patient: StepOptions = {
        "name": name,
        "retries_allowed": True,
        "max_attempts": _ATTEMPTS,
        "should_retry": lambda error: isinstance(error, _AWAY),
    }
    return await DBOS.run_step_async(patient, committed)


class Transactions:
    """Runs what is not to be run again; within a workflow each is a step of it.

    What a function writes and its result are committed together. Where the process ends before the
    journal knows of the step, it gets the result from there when it is run again.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def run(self, name: str, function: Query[R]) -> R:
        """Return what the function returns, which is JSON. Within a workflow it is a step."""

        async def once(connection: AsyncConnection) -> R:
            if DBOS.workflow_id is None:
                return await function(connection)
            mine = {"workflow_id": str(DBOS.workflow_id), "step": int(DBOS.step_id or 0)}
            begun = insert(connection.dialect.name, STEPS).values(**mine, result="")
            # Of two processes the second waits here until the first has committed.
            unless_there = begun.on_conflict_do_nothing().returning(STEPS.c.step)
            is_mine = [STEPS.c[column] == value for column, value in mine.items()]
            if (await connection.execute(unless_there)).one_or_none() is None:
                found = await connection.execute(sa.select(STEPS.c.result).where(*is_mine))
                kept: R = json.loads(found.scalar_one())
                return kept
            result = await function(connection)
            noted = sa.update(STEPS).where(*is_mine).values(result=json.dumps(result))
            await connection.execute(noted)
            return result

        return await in_step(self.engine, name, once)

    async def forget(self, workflow_ids: Sequence[str], first_step: int = 0) -> None:
        """Forget what steps came to, from one on: they are run anew, or never again."""
        gone = sa.delete(STEPS).where(
            STEPS.c.workflow_id.in_(workflow_ids), STEPS.c.step >= first_step
        )
        async with writing(self.engine) as connection:
            await connection.execute(gone)

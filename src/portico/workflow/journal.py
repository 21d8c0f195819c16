"""What is read of the engine's table itself, which its documentation describes, and one write.

The engine's own lists begin with the oldest start, end at a limit, and hold whole workflows: for
thousands that sleep, only to see whose they are, that is much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

DEAD = ["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
# One page of dead letters.
MAX_LISTED = 500
_COLUMNS = (
    "workflow_uuid",
    "status",
    "name",
    "updated_at",
    "executor_id",
    "application_name",
    "recovery_attempts",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the list: after the workflow of this id, which died at this time."""

    died_at: int = -1
    """Milliseconds, as the engine has it."""

    workflow_id: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """The workflows of one application. All methods raise SQLAlchemyError."""

    engine: AsyncEngine
    application: str

    async def dead_after(
        self, position: Position, limit: int, *, names: list[str] | None = None
    ) -> list[str]:
        """Return the ids of dead workflows that follow a position, in the order they died."""
        table = self._table()
        key = sa.tuple_(table.c.updated_at, table.c.workflow_uuid)
        query = (
            sa.select(table.c.workflow_uuid)
            .where(
                table.c.status.in_(DEAD),
                self._is_ours(table),
                key > sa.tuple_(sa.literal(position.died_at), sa.literal(position.workflow_id)),
            )
            .order_by(table.c.updated_at, table.c.workflow_uuid)
            .limit(min(limit, MAX_LISTED))
        )
        if names is not None:
            query = query.where(table.c.name.in_(names))
        async with self.engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def owners(self) -> set[str]:
        """Return the executors that have workflows which run."""
        table = self._table()
        query = sa.select(table.c.executor_id).distinct()
        return await self._texts(query.where(*self._run(table), table.c.executor_id.is_not(None)))

    async def owned_by(self, executor_id: str) -> set[str]:
        """Return the ids of the workflows that run under an executor."""
        table = self._table()
        query = sa.select(table.c.workflow_uuid)
        return await self._texts(query.where(*self._run(table), table.c.executor_id == executor_id))

    async def left_in_order(self, executor_id: str) -> None:
        """Begin anew to count how often the workflows of an executor were taken up again.

        The count is there to find workflows that end their process. One that waits for days is
        taken up after each deployment, and did nothing of the kind.
        """
        table = self._table()
        mine = (*self._run(table), table.c.executor_id == executor_id)
        anew = sa.update(table).where(*mine, table.c.recovery_attempts > 1)
        async with self.engine.begin() as connection:
            await connection.execute(anew.values(recovery_attempts=1))

    async def _texts(self, query: sa.Select[Any]) -> set[str]:
        async with self.engine.connect() as connection:
            return set((await connection.execute(query)).scalars())

    def _run(self, table: sa.TableClause) -> tuple[sa.ColumnElement[bool], ...]:
        return table.c.status == "PENDING", self._is_ours(table)

    def _is_ours(self, table: sa.TableClause) -> sa.ColumnElement[bool]:
        name = table.c.application_name
        return sa.or_(name == self.application, name.is_(None))

    def _table(self) -> sa.TableClause:
        schema = None if self.engine.dialect.name == "sqlite" else "dbos"
        return sa.table("workflow_status", *map(sa.column, _COLUMNS), schema=schema)

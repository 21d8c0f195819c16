"""Pages of dead letters: the engine's own list begins with the oldest start and ends at a limit.

Read is the engine's table, which its documentation describes; what is in a row is asked of the
engine itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

DEAD = ["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
# One page of dead letters.
MAX_LISTED = 500
_COLUMNS = ("workflow_uuid", "status", "name", "updated_at", "application_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the list: after the workflow of this id, which died at this time."""

    died_at: int = -1
    """Milliseconds, as the engine has it."""

    workflow_id: str = ""


@dataclass(frozen=True, slots=True)
class DeadWorkflows:
    """The ids of dead workflows of one application, in the order they died."""

    engine: AsyncEngine
    application: str

    async def after(
        self, position: Position, limit: int, *, names: list[str] | None = None
    ) -> list[str]:
        """Return what follows a position. Raises SQLAlchemyError."""
        table = self._table()
        columns, key = table.c, sa.tuple_(table.c.updated_at, table.c.workflow_uuid)
        query = (
            sa.select(columns.workflow_uuid)
            .where(
                columns.status.in_(DEAD),
                sa.or_(
                    columns.application_name == self.application,
                    columns.application_name.is_(None),
                ),
                key > sa.tuple_(sa.literal(position.died_at), sa.literal(position.workflow_id)),
            )
            .order_by(columns.updated_at, columns.workflow_uuid)
            .limit(min(limit, MAX_LISTED))
        )
        if names is not None:
            query = query.where(columns.name.in_(names))
        async with self.engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    def _table(self) -> sa.TableClause:
        schema = None if self.engine.dialect.name == "sqlite" else "dbos"
        return sa.table("workflow_status", *map(sa.column, _COLUMNS), schema=schema)

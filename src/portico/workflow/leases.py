"""Which processes live: each renews a lease in the workflow database."""

from __future__ import annotations

import logging
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import EXECUTOR_LEASES

logger = logging.getLogger("portico.workflow")

# Leases that ended this many lives ago are of no use to anybody.
_REMEMBERED = 10


class Leases:
    """The lease of this process, and a look at those of the others."""

    def __init__(
        self, database: WorkflowDatabase, engine: AsyncEngine, executor_id: str, seconds: float
    ) -> None:
        self._engine = engine
        self.executor_id = executor_id
        self.seconds = seconds
        self._healthy_since: float | None = None
        now = database.now()
        renewed = database.insert(EXECUTOR_LEASES).values(
            executor_id=executor_id, until=now + seconds
        )
        self._renew = renewed.on_conflict_do_update(
            index_elements=["executor_id"], set_={"until": renewed.excluded.until}
        )
        self._known = sa.select(EXECUTOR_LEASES.c.executor_id)
        self._live = self._known.where(EXECUTOR_LEASES.c.until > now)
        expired = EXECUTOR_LEASES.c.until < now - _REMEMBERED * seconds
        mine = EXECUTOR_LEASES.c.executor_id == executor_id
        self._forget = sa.delete(EXECUTOR_LEASES).where(expired | mine)

    @property
    def healthy(self) -> bool:
        """Return whether the database answered when it was last asked."""
        return self._healthy_since is not None

    async def renew(self) -> None:
        """Prolong the lease of this process. Raises SQLAlchemyError."""
        async with self._engine.begin() as connection:
            await connection.execute(self._renew)
        if self._healthy_since is None:
            self._healthy_since = monotonic()

    async def release(self) -> None:
        """Give the lease back, so that others take over at once; forget those long expired."""
        async with self._engine.begin() as connection:
            await connection.execute(self._forget)

    async def live(self) -> set[str]:
        """Return the executors that have a lease."""
        async with self._engine.connect() as connection:
            return set((await connection.execute(self._live)).scalars())

    async def spared(self) -> set[str]:
        """Return the executors whose workflows are not to be taken over.

        Leases that look expired count until renewals have worked for a while. Who has none at all
        gave it back when it stopped: nobody waits for those.
        """
        if self.settled():
            return await self.live()
        async with self._engine.connect() as connection:
            return set((await connection.execute(self._known)).scalars())

    def lost(self) -> None:
        """Take note that the database does not answer."""
        if self._healthy_since is not None:
            logger.warning("the workflow database is lost")
        self._healthy_since = None

    def settled(self) -> bool:
        """Tell whether renewals have worked for a whole lease.

        After an outage of the database all leases look expired, and all processes live.
        """
        healthy_since = self._healthy_since
        return healthy_since is not None and monotonic() - healthy_since > self.seconds

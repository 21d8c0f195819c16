"""Events on their way to the bus: written with the step they belong to, sent on afterwards.

An event in the outbox is as certain as the step that published it, and no step waits for the bus.
It may reach the bus twice, when the process ends between sending and noting so: subscribers see
by source and id that it is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.events.bus import EventBus
from portico.events.contracts import EventContracts
from portico.events.errors import BusUnavailableError, MalformedEventError
from portico.events.event import CloudEvent
from portico.events.json_format import from_bytes, to_bytes
from portico.workflow.database import WorkflowDatabase, writing
from portico.workflow.tables import OUTBOX
from portico.workflow.transactions import Transactions

logger = logging.getLogger("portico.events")

# Brokers have limits of their own, NATS one of a megabyte; an event is news, not a document.
MAX_PUBLISHED_BYTES = 256 * 1024
_BATCH = 100
# As long as sending a batch takes; then another process sends what is left.
_CLAIM_SECONDS = 30.0
# What other processes publish is noticed within this time; what this one does, at once.
_POLL_SECONDS = 1.0
_TROUBLE_SECONDS = 2.0
_LOCK = 0x4F757462  # names the lock under which a batch is claimed


class Publishes(Protocol):
    """Where events are published."""

    async def publish(self, event: CloudEvent) -> None:
        """Publish an event."""
        ...


class Outbox:
    """Takes events in, and sends them on to the bus in their order."""

    def __init__(
        self, database: WorkflowDatabase, transactions: Transactions, contracts: EventContracts
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._contracts = contracts
        self._news = asyncio.Event()

    async def publish(self, event: CloudEvent) -> None:
        """Keep an event. Within a workflow it is a step, so each run publishes it once.

        Raises UnknownEventError and EventContractError for one that no contract allows,
        MalformedEventError for one that is too large.
        """
        self.check(event)

        async def write(connection: AsyncConnection) -> None:
            await self.add(connection, event)

        await self._transactions.run(f"publish {event.type}", write)
        self._news.set()

    async def add(self, connection: AsyncConnection, event: CloudEvent) -> None:
        """Keep an event within a transaction of its publisher's. `check` it before."""
        insert = self._database.insert(OUTBOX).values(
            identity=_identity(event), event=to_bytes(event).decode(), claimed_until=0.0
        )
        await connection.execute(insert.on_conflict_do_nothing(index_elements=["identity"]))

    def check(self, event: CloudEvent) -> None:
        """Raise what `publish` raises."""
        self._contracts.check(event)
        size = len(to_bytes(event))
        if size > MAX_PUBLISHED_BYTES:
            raise MalformedEventError(f"the event has {size} of {MAX_PUBLISHED_BYTES} bytes")

    @contextlib.asynccontextmanager
    async def sending(self, bus: EventBus) -> AsyncIterator[None]:
        """Send what is kept to the bus, in the background."""
        task = asyncio.create_task(self._send_all(bus), name="outbox")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _send_all(self, bus: Publishes) -> None:
        while True:
            self._news.clear()
            try:
                sent = await self.send_batch(bus)
            except (BusUnavailableError, SQLAlchemyError, OSError) as error:
                logger.warning("events are kept in the outbox: %s", type(error).__name__)
                await asyncio.sleep(_TROUBLE_SECONDS)
                continue
            if not sent:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._news.wait()

    async def send_batch(self, bus: Publishes) -> int:
        """Send what is next and return how many that was."""
        claimed = await self._claim()
        sent: list[int] = []
        try:
            for number, text in claimed:
                await bus.publish(from_bytes(text.encode()))
                sent.append(number)
        finally:
            await self._settle(sent, [number for number, _ in claimed[len(sent) :]])
        return len(sent)

    async def _claim(self) -> Sequence[tuple[int, str]]:
        """Take the oldest events, unless another process has some: their order stays."""
        now = self._database.now()
        async with writing(self._transactions.engine) as connection:
            if not self._database.is_sqlite:
                await connection.execute(sa.text(f"select pg_advisory_xact_lock({_LOCK})"))
            busy = sa.select(OUTBOX.c.number).where(OUTBOX.c.claimed_until > now).limit(1)
            if (await connection.execute(busy)).first() is not None:
                return []
            oldest = sa.select(OUTBOX.c.number, OUTBOX.c.event).order_by(OUTBOX.c.number)
            rows = [(row[0], row[1]) for row in await connection.execute(oldest.limit(_BATCH))]
            numbers = [number for number, _ in rows]
            await connection.execute(
                sa.update(OUTBOX)
                .where(OUTBOX.c.number.in_(numbers))
                .values(claimed_until=now + _CLAIM_SECONDS)
            )
            return rows

    async def _settle(self, sent: Sequence[int], left: Sequence[int]) -> None:
        """Forget what was sent, and let go of what was not."""
        async with self._transactions.engine.begin() as connection:
            if sent:
                await connection.execute(sa.delete(OUTBOX).where(OUTBOX.c.number.in_(sent)))
            if left:
                freed = sa.update(OUTBOX).where(OUTBOX.c.number.in_(left)).values(claimed_until=0.0)
                await connection.execute(freed)


def _identity(event: CloudEvent) -> str:
    return hashlib.sha256(f"{len(event.source)}:{event.source}{event.id}".encode()).hexdigest()

"""The bus: events are published to it, and each group of subscribers gets each of them.

What a broker has to do is the `Log`; deciding what happens to a delivery is here, the same over
all of them. Delivery is at least once. An event is handled again only when a handler failed, or
ended between its work and the note that it is done: handlers are safe to repeat, as one that
starts a workflow named after the event is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from portico.events.errors import BusUnavailableError, MalformedEventError, RejectedEventError
from portico.events.event import CloudEvent
from portico.events.json_format import from_bytes, to_bytes

logger = logging.getLogger("portico.events")

Handler = Callable[[CloudEvent], Awaitable[None]]
# Longer than any sender repeats an event: the outbox and webhooks give up after three days.
DEDUPLICATION_SECONDS = 4 * 86_400
_BATCH = 50
# One page of dead letters.
MAX_DEAD = 500
# How long a subscriber waits where nothing came: an event is late by no more.
_IDLE_SECONDS = 0.1
_TROUBLE_SECONDS = 1.0
ABANDONED = "the subscriber ended each time it handled the event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a group wants: its name, the types, and what to do with an event.

    All processes of a group share its events. A failed event comes again after
    `redelivery_seconds`, which has to be longer than a handler takes, and is a dead letter after
    `max_deliveries`.
    """

    group: str
    types: Sequence[str]
    handle: Handler
    max_deliveries: int = 5
    redelivery_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of one message: `number` is 1 the first time."""

    message_id: str
    event_type: str
    payload: bytes
    number: int
    only_group: str = ""  # of a replay: the group whose dead letter it was


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEvent:
    """An event that a group could not handle."""

    dead_id: str
    group: str
    event_type: str
    payload: bytes
    error: str
    deliveries: int
    died_at: float


class Log(Protocol):
    """What a broker does. All methods raise BusUnavailableError."""

    async def append(self, event_type: str, identity: str, payload: bytes) -> None:
        """Keep a message; it is safe with the broker when this returns."""
        ...

    async def open_group(self, event_type: str, group: str, redelivery_seconds: float) -> None:
        """Make a group that gets what is appended from now on, unless there is one."""
        ...

    async def take(
        self, event_type: str, group: str, count: int, redelivery_seconds: float
    ) -> Sequence[Delivery]:
        """Return new messages, and those taken longer ago than `redelivery_seconds`."""
        ...

    async def done(self, group: str, delivery: Delivery) -> None:
        """Note that a group needs a message no more."""
        ...

    async def bury(self, group: str, delivery: Delivery, error: str) -> None:
        """Make a dead letter of a message, and let the group go on without it."""
        ...

    async def seen(self, group: str, identity: str) -> bool:
        """Tell whether the group has handled this event."""
        ...

    async def remember(self, group: str, identity: str, seconds: float) -> None:
        """Note that the group has handled this event."""
        ...

    async def dead(self, *, after: str = "", limit: int = MAX_DEAD) -> Sequence[DeadEvent]:
        """Return dead letters, the oldest first: those that follow the one of an id."""
        ...

    async def find_dead(self, dead_id: str) -> DeadEvent | None:
        """Return one dead letter, None if there is none of this id."""
        ...

    async def revive(self, dead_id: str) -> bool:
        """Deliver a dead letter to its group again; False if there is none."""
        ...

    async def discard(self, dead_id: str) -> bool:
        """Delete a dead letter; False if there is none."""
        ...


class EventBus:
    """Publishes events and runs subscriptions over a log."""

    def __init__(self, log: Log) -> None:
        self.log = log

    async def publish(self, event: CloudEvent) -> None:
        """Return once the broker has the event. Raises BusUnavailableError."""
        await self.log.append(event.type, _identity(event), to_bytes(event))

    @contextlib.asynccontextmanager
    async def subscribed(self, subscription: Subscription) -> AsyncIterator[None]:
        """Handle the events of a subscription in the background.

        A broker that is away is tried again and again; what is published from the moment it knows
        the group is for it.
        """
        consumers = [_Consumer(self.log, subscription, name) for name in subscription.types]
        for consumer in consumers:
            await consumer.open()
        tasks = [
            asyncio.create_task(consumer.run(), name=f"events {consumer}") for consumer in consumers
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)


class _Consumer:
    """One group's way through the events of one type, in their order."""

    def __init__(self, log: Log, subscription: Subscription, event_type: str) -> None:
        self._log = log
        self._subscription = subscription
        self._event_type = event_type
        self._open = False

    def __str__(self) -> str:
        return f"{self._subscription.group} {self._event_type}"

    async def open(self) -> bool:
        """Make the group known to the broker; False while that is away."""
        wanted = self._subscription
        try:
            await self._log.open_group(self._event_type, wanted.group, wanted.redelivery_seconds)
        except BusUnavailableError as error:
            logger.warning("the bus is lost: %s", error)
            return False
        self._open = True
        return True

    async def run(self) -> None:
        """Take and handle until cancelled."""
        while True:
            try:
                pause = await self._round()
            except BusUnavailableError as error:
                logger.warning("the bus is lost: %s", error)
                pause = _TROUBLE_SECONDS
            if pause:
                await asyncio.sleep(pause)

    async def _round(self) -> float:
        """Handle what there is, and return how long to wait before looking again."""
        if not self._open and not await self.open():
            return _TROUBLE_SECONDS
        wanted = self._subscription
        deliveries = await self._log.take(
            self._event_type, wanted.group, _BATCH, wanted.redelivery_seconds
        )
        for delivery in deliveries:
            await self.deliver(delivery)
        return 0.0 if deliveries else _IDLE_SECONDS

    async def deliver(self, delivery: Delivery) -> None:
        """Decide what becomes of a delivery.

        1. It is a replay for another group: it is none of ours.
        2. It was delivered too often, and each time the process ended: a dead letter.
        3. It cannot be read, or the handler rejects it: a dead letter at once.
        4. The group has handled this event before: nothing is to be done.
        5. The handler fails: it comes again, until it was delivered too often.
        """
        group = self._subscription.group
        if delivery.only_group not in {"", group}:
            await self._log.done(group, delivery)
            return
        if delivery.number > self._subscription.max_deliveries:
            await self._log.bury(group, delivery, ABANDONED)
            return
        try:
            event = from_bytes(delivery.payload)
        except MalformedEventError as error:
            await self._log.bury(group, delivery, str(error))
            return
        identity = _identity(event)
        if not delivery.only_group and await self._log.seen(group, identity):
            await self._log.done(group, delivery)
            return
        await self._handle(event, identity, delivery)

    async def _handle(self, event: CloudEvent, identity: str, delivery: Delivery) -> None:
        subscription = self._subscription
        try:
            await subscription.handle(event)
        except RejectedEventError as error:
            await self._log.bury(subscription.group, delivery, str(error))
        except Exception as error:
            logger.exception("%s failed for an event of %s", subscription.group, event.type)
            if delivery.number >= subscription.max_deliveries:
                await self._log.bury(subscription.group, delivery, _describe(error))
        else:
            await self._log.remember(subscription.group, identity, DEDUPLICATION_SECONDS)
            await self._log.done(subscription.group, delivery)


def _identity(event: CloudEvent) -> str:
    """Return source and id as one text; neither can run into the other."""
    return f"{len(event.source)}:{event.source}:{event.id}"


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]

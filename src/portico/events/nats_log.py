"""The bus on NATS JetStream, for networks that have one: `pip install portico[nats]`.

One stream holds all events, another the dead letters, a key-value bucket what groups have handled.
A group is a durable pull consumer for each type.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NATSError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, KeyValueConfig, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError
from nats.js.kv import KeyValue

from portico.events.bus import DEDUPLICATION_SECONDS, MAX_DEAD, DeadEvent, Delivery
from portico.events.errors import BusUnavailableError

logger = logging.getLogger("portico.events")

_EVENTS, _DEAD, _SEEN = "PORTICO_EVENTS", "PORTICO_DEAD", "PORTICO_SEEN"
_EVENTS_PREFIX, _DEAD_PREFIX = "portico.events.", "portico.dead."
_RETAINED_SECONDS = 7 * 86_400.0
# A publisher that got no answer sends again within this time.
_PUBLISHED_SECONDS = 600.0
_FETCH_SECONDS = 0.2
# It is in the same network, and the process does not start without it.
_CONNECT_SECONDS = 2.0
_REQUEST_SECONDS = 5.0
# Far more than all consumers of a process have in hand.
_MAX_TAKEN = 10_000
_SEQUENCE = re.compile(r"[1-9][0-9]{0,17}\Z", re.ASCII)
_ONLY, _GROUP, _ERROR = "Portico-Only-Group", "Portico-Group", "Portico-Error"
_DELIVERIES, _DIED_AT = "Portico-Deliveries", "Portico-Died-At"


class NATSLog:
    """Messages in JetStream."""

    def __init__(self, stream: JetStreamContext, seen: KeyValue) -> None:
        self._stream = stream
        self._seen = seen
        self._subscriptions: dict[tuple[str, str], JetStreamContext.PullSubscription] = {}
        self._taken: dict[tuple[str, str], Msg] = {}

    async def append(self, event_type: str, identity: str, payload: bytes) -> None:
        with _mapped():
            await self._stream.publish(
                _EVENTS_PREFIX + event_type, payload, headers={"Nats-Msg-Id": _digest(identity)}
            )

    async def open_group(self, event_type: str, group: str, redelivery_seconds: float) -> None:
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.NEW,
            ack_wait=redelivery_seconds,
            max_deliver=-1,  # how often is enough is decided where dead letters are made
        )
        with _mapped():
            self._subscriptions[event_type, group] = await self._stream.pull_subscribe(
                _EVENTS_PREFIX + event_type, durable=_durable(event_type, group), config=config
            )

    async def take(
        self, event_type: str, group: str, count: int, redelivery_seconds: float
    ) -> Sequence[Delivery]:
        del redelivery_seconds  # the consumer was made with it
        subscription = self._subscriptions[event_type, group]
        with _mapped():
            try:
                messages = await subscription.fetch(count, timeout=_FETCH_SECONDS)
            except TimeoutError:
                return []
        return [self._delivery(event_type, group, message) for message in messages]

    def _delivery(self, event_type: str, group: str, message: Msg) -> Delivery:
        message_id = str(message.metadata.sequence.stream)
        self._taken[group, message_id] = message
        if len(self._taken) > _MAX_TAKEN:
            # The oldest failed here and came again elsewhere, or is about to come again.
            del self._taken[next(iter(self._taken))]
        return Delivery(
            message_id=message_id,
            event_type=event_type,
            payload=message.data,
            number=message.metadata.num_delivered or 1,
            only_group=(message.headers or {}).get(_ONLY, ""),
        )

    async def done(self, group: str, delivery: Delivery) -> None:
        message = self._taken.pop((group, delivery.message_id), None)
        if message is not None:
            with _mapped():
                await message.ack_sync()

    async def bury(self, group: str, delivery: Delivery, error: str) -> None:
        headers = {
            _GROUP: group,
            _ERROR: " ".join(error.split()) or "unknown",
            _DELIVERIES: str(delivery.number),
            _DIED_AT: str(time.time()),
            # The same one twice, after a lost answer, is one dead letter.
            "Nats-Msg-Id": f"{group}-{delivery.message_id}",
        }
        subject = _DEAD_PREFIX + delivery.event_type
        with _mapped():
            await self._stream.publish(subject, delivery.payload, headers=headers)
        await self.done(group, delivery)

    async def seen(self, group: str, identity: str) -> bool:
        with _mapped():
            try:
                await self._seen.get(f"{group}.{_digest(identity)}")
            except NotFoundError:
                return False
        return True

    async def remember(self, group: str, identity: str, seconds: float) -> None:
        del seconds  # the bucket was made with it
        with _mapped():
            await self._seen.put(f"{group}.{_digest(identity)}", b"")

    async def dead(self, *, after: str = "", limit: int = MAX_DEAD) -> Sequence[DeadEvent]:
        found: list[DeadEvent] = []
        sequence = int(after) if _SEQUENCE.match(after) else 0
        with _mapped():
            while len(found) < limit:
                # The next one there is: what was discarded leaves gaps.
                message = await self._dead_message(sequence + 1, subject=f"{_DEAD_PREFIX}>")
                if message is None:
                    break
                sequence = message.seq
                found.append(_dead_event(sequence, message))
        return found

    async def find_dead(self, dead_id: str) -> DeadEvent | None:
        if not _SEQUENCE.match(dead_id):
            return None
        with _mapped():
            message = await self._dead_message(int(dead_id))
        return None if message is None else _dead_event(int(dead_id), message)

    async def _dead_message(self, sequence: int, *, subject: str | None = None) -> Any:
        """Return a message, with a subject also the next one after a gap; None if there is none."""
        try:
            return await self._stream.get_msg(
                _DEAD, sequence, subject=subject, next=subject is not None
            )
        except NotFoundError:
            return None

    async def revive(self, dead_id: str) -> bool:
        if not _SEQUENCE.match(dead_id):
            return False
        with _mapped():
            message = await self._dead_message(int(dead_id))
            if message is None:
                return False
            event = _dead_event(int(dead_id), message)
            headers = {_ONLY: event.group, "Nats-Msg-Id": f"revived-{dead_id}"}
            subject = _EVENTS_PREFIX + event.event_type
            await self._stream.publish(subject, event.payload, headers=headers)
        return await self.discard(dead_id)

    async def discard(self, dead_id: str) -> bool:
        if not _SEQUENCE.match(dead_id):
            return False
        with _mapped():
            try:
                return bool(await self._stream.delete_msg(_DEAD, int(dead_id)))
            except (NotFoundError, BadRequestError):
                return False


@contextlib.asynccontextmanager
async def open_nats(url: str) -> AsyncIterator[NATSLog]:
    """Connect, make the streams that are missing, and yield the log. Raises BusUnavailableError."""
    client = Client()
    try:
        with _mapped():
            async with asyncio.timeout(_CONNECT_SECONDS):
                await client.connect(url, error_cb=_note, max_reconnect_attempts=-1)
        yield await _prepare(client)
    finally:
        await client.close()


async def _note(error: Exception) -> None:
    logger.warning("nats: %s", error)


async def _prepare(client: Client) -> NATSLog:
    stream = client.jetstream(timeout=_REQUEST_SECONDS)
    with _mapped():
        await _ensure(
            stream,
            StreamConfig(
                name=_EVENTS,
                subjects=[f"{_EVENTS_PREFIX}>"],
                max_age=_RETAINED_SECONDS,
                duplicate_window=_PUBLISHED_SECONDS,
            ),
        )
        await _ensure(stream, StreamConfig(name=_DEAD, subjects=[f"{_DEAD_PREFIX}>"]))
        seen = await stream.create_key_value(
            KeyValueConfig(bucket=_SEEN, ttl=float(DEDUPLICATION_SECONDS))
        )
    return NATSLog(stream, seen)


async def _ensure(stream: JetStreamContext, config: StreamConfig) -> None:
    try:
        await stream.stream_info(str(config.name))
    except NotFoundError:
        await stream.add_stream(config)


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    """Let errors of the client in as one of ours, and no cancellation be lost.

    The client waits by `asyncio.wait_for`, which before Python 3.12 returns what comes at the very
    moment of a cancellation as if there were none.
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        yield
    except (NATSError, OSError, TimeoutError) as error:
        raise BusUnavailableError(f"nats: {error}") from error
    if task and task.cancelling() > cancelled_before:
        raise asyncio.CancelledError


def _durable(event_type: str, group: str) -> str:
    """Return the name of a consumer, in which dots have no place."""
    return f"{group}-{event_type.replace('.', '-')}-{_digest(event_type)[:8]}"


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:40]


def _dead_event(sequence: int, message: Any) -> DeadEvent:
    headers = message.headers or {}
    return DeadEvent(
        dead_id=str(sequence),
        group=headers[_GROUP],
        event_type=str(message.subject).removeprefix(_DEAD_PREFIX),
        payload=message.data or b"",
        error=headers[_ERROR],
        deliveries=int(headers[_DELIVERIES]),
        died_at=float(headers[_DIED_AT]),
    )

"""A bus within one process: for development and for tests of what uses events.

It forgets everything with its process; what must not be lost is in the outbox until it is handled.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from portico.events.bus import MAX_DEAD, DeadEvent, Delivery

# Kept for groups that read slowly; the oldest go first.
MAX_MESSAGES = 100_000


@dataclass(slots=True)
class _Taken:
    delivery: Delivery
    until: float


@dataclass(slots=True)
class _Group:
    waiting: list[Delivery] = field(default_factory=list)
    taken: dict[str, _Taken] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)


class MemoryLog:
    """Messages by type and group."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._groups: dict[str, dict[str, _Group]] = {}
        self._dead: dict[str, DeadEvent] = {}

    async def append(self, event_type: str, identity: str, payload: bytes) -> None:
        del identity
        self._put(event_type, payload, "")

    def _put(self, event_type: str, payload: bytes, only_group: str) -> None:
        delivery = Delivery(
            message_id=str(next(self._numbers)),
            event_type=event_type,
            payload=payload,
            number=0,
            only_group=only_group,
        )
        for group in self._groups.get(event_type, {}).values():
            group.waiting.append(delivery)
            del group.waiting[:-MAX_MESSAGES]

    async def open_group(self, event_type: str, group: str, redelivery_seconds: float) -> None:
        del redelivery_seconds  # it is an argument of each `take`
        self._groups.setdefault(event_type, {}).setdefault(group, _Group())

    async def take(
        self, event_type: str, group: str, count: int, redelivery_seconds: float
    ) -> Sequence[Delivery]:
        state = self._groups[event_type][group]
        now = time.monotonic()
        late = [taken.delivery for taken in state.taken.values() if taken.until <= now]
        chosen = [*late, *state.waiting][:count]
        del state.waiting[: max(0, len(chosen) - len(late))]
        found = [replace(delivery, number=delivery.number + 1) for delivery in chosen]
        for delivery in found:
            state.taken[delivery.message_id] = _Taken(delivery, now + redelivery_seconds)
        return found

    async def done(self, group: str, delivery: Delivery) -> None:
        self._groups[delivery.event_type][group].taken.pop(delivery.message_id, None)

    async def bury(self, group: str, delivery: Delivery, error: str) -> None:
        dead_id = str(next(self._numbers))
        self._dead[dead_id] = DeadEvent(
            dead_id=dead_id,
            group=group,
            event_type=delivery.event_type,
            payload=delivery.payload,
            error=error,
            deliveries=delivery.number,
            died_at=time.time(),
        )
        await self.done(group, delivery)

    async def seen(self, group: str, identity: str) -> bool:
        return any(
            groups[group].seen.get(identity, 0.0) > time.monotonic()
            for groups in self._groups.values()
            if group in groups
        )

    async def remember(self, group: str, identity: str, seconds: float) -> None:
        for groups in self._groups.values():
            if group in groups:
                seen = groups[group].seen
                seen[identity] = time.monotonic() + seconds
                if len(seen) > MAX_MESSAGES:
                    del seen[next(iter(seen))]

    async def dead(self, *, after: str = "", limit: int = MAX_DEAD) -> Sequence[DeadEvent]:
        first = int(after) if after.isdecimal() else 0
        following = (event for number, event in self._dead.items() if int(number) > first)
        return list(itertools.islice(following, limit))

    async def find_dead(self, dead_id: str) -> DeadEvent | None:
        return self._dead.get(dead_id)

    async def revive(self, dead_id: str) -> bool:
        dead = self._dead.pop(dead_id, None)
        if dead is None:
            return False
        self._put(dead.event_type, dead.payload, dead.group)
        return True

    async def discard(self, dead_id: str) -> bool:
        return self._dead.pop(dead_id, None) is not None

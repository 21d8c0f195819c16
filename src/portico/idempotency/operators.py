"""For people: look at a record, list those in doubt, settle one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from portico.idempotency.record import (
    Record,
    State,
    StoredResponse,
    UnreadableRecordError,
    parse,
    write_response,
)
from portico.idempotency.scope import Locator, record_id
from portico.idempotency.scripts import RESOLVE, SHOW
from portico.redis.script import Script

_PAGE = 500
_PROBES = 1000  # keys tried until each primary of a cluster is found


class Redis(Protocol):
    """What operators need of Redis: `portico.redis.client.RedisClient` has it."""

    async def run(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]
    ) -> object:
        """Return what the script returns."""
        ...

    async def execute(self, *command: bytes | str | int, key: bytes | None = None) -> object:
        """Return the reply to one command, of the server that has `key`."""
        ...

    async def execute_everywhere(self, *command: bytes | str | int) -> dict[str, object]:
        """Return the reply of each primary."""
        ...


class NotSettledError(Exception):
    """A record that cannot be settled: what is so, in the words of the script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A record with what is known of its time; `record` is None for one that cannot be read."""

    record_id: str
    record: Record | None
    expires_in_seconds: float
    age_seconds: float

    lease_left_seconds: float = 0.0

    @property
    def in_doubt(self) -> bool:
        """Tell whether nobody runs the operation and nobody knows what it led to."""
        record = self.record
        if record is None or self.lease_left_seconds > 0:
            return False
        if record.state is State.IN_DOUBT:
            return True
        return record.state is State.IN_PROGRESS and record.sent != "N"


class Operators:
    """What operators may do with the records of one store."""

    def __init__(self, redis: Redis, locator: Locator) -> None:
        self._redis = redis
        self._locator = locator

    async def show(self, record_id: str) -> Shown | None:
        """Return the record of an id, as problems and logs name it; None where there is none."""
        return await self._show(self._locator.record_name(record_id), b"")

    async def list_in_doubt(self, limit: int = 1000) -> AsyncIterator[Shown]:
        """Yield the records in doubt, at most `limit`; looks through all records, in pages."""
        left = limit
        async for names in self._pages():
            for shown in await asyncio.gather(*(self._show(name, b"D") for name in names)):
                if shown is None:
                    continue
                yield shown
                left -= 1
                if left <= 0:
                    return

    async def resolve(
        self,
        record_id: str,
        epoch: int,
        outcome: StoredResponse | None,
        *,
        retention_seconds: float = 86_400.0,
    ) -> None:
        """Settle a record in doubt: with the response it led to, or None when it had no effect.

        `epoch` is the one that was looked at. Raises NotSettledError when it is not as it was, is
        running, or is settled.
        """
        state = b"F" if outcome is None else b"C"
        content = b""
        if outcome is not None:
            content = write_response(outcome.status, outcome.headers, outcome.body)
        reply = await self._redis.run(
            RESOLVE,
            (self._locator.record_name(record_id),),
            (b"%d" % epoch, b"%d" % int(retention_seconds * 1000), state, content),
        )
        if reply != b"OK":
            raise NotSettledError(_REASONS.get(cast("bytes", reply), str(reply)))

    async def _show(self, name: bytes, only: bytes) -> Shown | None:
        reply = await self._redis.run(SHOW, (name,), (only,))
        if reply is None:
            return None
        raw, left_ms, now_ms = cast("tuple[bytes, int, int]", reply)
        try:
            record = parse(raw)
        except UnreadableRecordError:
            return Shown(
                record_id=record_id(name),
                record=None,
                expires_in_seconds=left_ms / 1000,
                age_seconds=0.0,
            )
        return Shown(
            record_id=record_id(name),
            record=record,
            expires_in_seconds=left_ms / 1000,
            age_seconds=max(0.0, (now_ms - record.created_ms) / 1000),
            lease_left_seconds=max(0.0, (record.lease_until_ms - now_ms) / 1000),
        )

    async def _pages(self) -> AsyncIterator[list[bytes]]:
        """Yield the names of all records, of every primary."""
        pattern = self._locator.record_pattern()
        for key in await self._one_key_each():
            cursor = b"0"
            while True:
                reply = await self._redis.execute(
                    "SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE, key=key
                )
                cursor, names = cast("tuple[bytes, list[bytes]]", reply)
                yield names
                if cursor == b"0":
                    break

    async def _one_key_each(self) -> list[bytes]:
        """Return a key for each primary that only it has."""
        primaries = len(await self._redis.execute_everywhere("PING"))
        if primaries == 1:
            return [b""]
        found: dict[object, bytes] = {}
        for number in range(_PROBES):
            key = b"{%d}" % number
            found.setdefault(await self._redis.execute("CLUSTER", "MYID", key=key), key)
            if len(found) == primaries:
                break
        return list(found.values())


_REASONS = {
    b"ABSENT": "there is no such record any more",
    b"BROKEN": "the record cannot be read",
    b"CHANGED": "the record has changed since it was looked at",
    b"SETTLED": "the record is not in doubt",
    b"RUNNING": "the operation is running",
}

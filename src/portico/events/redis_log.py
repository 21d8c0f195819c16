"""The bus on Redis Streams: a stream for each type of events, a consumer group for each group.

Each step is one script, so a lost reply never leaves half of it, and all may be repeated. A
stream is bounded: a group that falls further behind than `MAX_MESSAGES` loses the oldest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, cast

from portico.events.bus import MAX_DEAD, DeadEvent, Delivery
from portico.events.errors import BusUnavailableError
from portico.redis.client import RedisClient
from portico.redis.errors import RedisFailure
from portico.redis.script import Script

MAX_MESSAGES = 100_000
_PREFIX = "portico:events"
# Which types ever had a dead letter: they have a slot of their own in a cluster each.
_DEAD_TYPES = f"{_PREFIX}:dead-types"
# A publisher that got no answer sends again within this time.
_PUBLISHED_SECONDS = 600
_MESSAGE_ID = re.compile(r"[0-9]{1,18}-[0-9]{1,18}\Z", re.ASCII)
# Who took a message is of no interest, only when: one name serves all processes.
_CONSUMER = "portico"

# KEYS: stream, marker. ARGV: event, marker's seconds, most messages.
_APPEND = Script(
    "events-append",
    """
if not redis.call('SET', KEYS[2], '', 'NX', 'EX', ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'event', ARGV[1], 'only', '')
return 1
""",
)

# KEYS: stream. ARGV: group.
_OPEN = Script(
    "events-open",
    """
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '$', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
return 1
""",
)

# KEYS: stream. ARGV: group, consumer, count, idle ms. Returns {id, delivery, fields} of each:
# first what was taken too long ago, whoever took it, then what is new. XAUTOCLAIM would do the
# former without telling how often a message was delivered.
_TAKE = Script(
    "events-take",
    """
local found = {}
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[4], '-', '+', ARGV[3])
for _, entry in ipairs(pending) do
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[4], entry[1])
  if claimed[1] then
    found[#found + 1] = {entry[1], entry[4] + 1, claimed[1][2]}
  else
    redis.call('XACK', KEYS[1], ARGV[1], entry[1])
  end
end
local room = tonumber(ARGV[3]) - #found
if room > 0 then
  local read = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', room,
    'STREAMS', KEYS[1], '>')
  if read and read[1] then
    for _, entry in ipairs(read[1][2]) do found[#found + 1] = {entry[1], 1, entry[2]} end
  end
end
return found
""",
)

# KEYS: stream, dead letters. ARGV: group, id, event, type, error, deliveries.
_BURY = Script(
    "events-bury",
    """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'group', ARGV[1], 'event', ARGV[3], 'type', ARGV[4],
  'error', ARGV[5], 'deliveries', ARGV[6])
return 1
""",
)

# KEYS: stream, dead letters. ARGV: id.
_REVIVE = Script(
    "events-revive",
    """
local found = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])
if not found[1] then return 0 end
local fields = {}
for i = 1, #found[1][2], 2 do fields[found[1][2][i]] = found[1][2][i + 1] end
redis.call('XADD', KEYS[1], '*', 'event', fields['event'], 'only', fields['group'])
redis.call('XDEL', KEYS[2], ARGV[1])
return 1
""",
)


class RedisLog:
    """Messages in Redis. A published one counts once the copies exist that the client asks for."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def append(self, event_type: str, identity: str, payload: bytes) -> None:
        keys = [_stream(event_type), _key(event_type, f"published:{_digest(identity)}")]
        arguments = [payload, _PUBLISHED_SECONDS, MAX_MESSAGES]
        await self._run(_APPEND, keys, arguments, acknowledged=True)

    async def open_group(self, event_type: str, group: str, redelivery_seconds: float) -> None:
        del redelivery_seconds  # it is an argument of each `take`
        await self._run(_OPEN, [_stream(event_type)], [group])

    async def take(
        self, event_type: str, group: str, count: int, redelivery_seconds: float
    ) -> Sequence[Delivery]:
        idle = int(redelivery_seconds * 1000)
        # Not repeated: what an unanswered one took comes again when it was idle long enough.
        reply = await self._run(
            _TAKE, [_stream(event_type)], [group, _CONSUMER, count, idle], repeatable=False
        )
        return [_delivery(event_type, *entry) for entry in cast(list[list[Any]], reply)]

    async def done(self, group: str, delivery: Delivery) -> None:
        key = _stream(delivery.event_type)
        await self._execute("XACK", key, group, delivery.message_id)

    async def bury(self, group: str, delivery: Delivery, error: str) -> None:
        # First, so that no dead letter is ever where nobody looks.
        await self._execute("SADD", _DEAD_TYPES, delivery.event_type)
        keys = [_stream(delivery.event_type), _dead(delivery.event_type)]
        facts = [delivery.payload, delivery.event_type, error, delivery.number]
        await self._run(_BURY, keys, [group, delivery.message_id, *facts], acknowledged=True)

    async def seen(self, group: str, identity: str) -> bool:
        return await self._execute("EXISTS", _seen(group, identity)) == 1

    async def remember(self, group: str, identity: str, seconds: float) -> None:
        await self._execute("SET", _seen(group, identity), "", "EX", str(int(seconds)))

    async def dead(self, *, after: str = "", limit: int = MAX_DEAD) -> Sequence[DeadEvent]:
        found: list[DeadEvent] = []
        for name in sorted(cast(set[bytes], await self._execute("SMEMBERS", _DEAD_TYPES))):
            event_type = name.decode()
            found += await self._dead_of(event_type, _begin(event_type, after), "+", limit)
        return sorted(found, key=lambda event: _order(event.dead_id))[:limit]

    async def find_dead(self, dead_id: str) -> DeadEvent | None:
        event_type, _, message_id = dead_id.rpartition("@")
        if not _MESSAGE_ID.match(message_id):
            return None
        found = await self._dead_of(event_type, message_id, message_id, 1)
        return found[0] if found else None

    async def _dead_of(self, event_type: str, begin: str, end: str, limit: int) -> list[DeadEvent]:
        command = ("XRANGE", _dead(event_type), begin, end, "COUNT", str(limit))
        entries = cast(list[list[Any]], await self._execute(*command))
        return [_dead_event(event_type, *entry) for entry in entries]

    async def revive(self, dead_id: str) -> bool:
        event_type, _, message_id = dead_id.rpartition("@")
        if not _MESSAGE_ID.match(message_id):
            return False
        keys = [_stream(event_type), _dead(event_type)]
        return await self._run(_REVIVE, keys, [message_id], repeatable=False) == 1

    async def discard(self, dead_id: str) -> bool:
        event_type, _, message_id = dead_id.rpartition("@")
        if not _MESSAGE_ID.match(message_id):
            return False
        return await self._execute("XDEL", _dead(event_type), message_id) == 1

    async def _run(
        self,
        script: Script,
        keys: list[bytes],
        arguments: list[Any],
        *,
        repeatable: bool = True,
        acknowledged: bool = False,
    ) -> object:
        try:
            return await self._redis.run(
                script, keys, arguments, repeatable=repeatable, acknowledged=acknowledged
            )
        except RedisFailure as error:
            raise BusUnavailableError(str(error)) from error

    async def _execute(self, *command: str | bytes) -> object:
        try:
            return await self._redis.execute(*command, repeatable=True)
        except RedisFailure as error:
            raise BusUnavailableError(str(error)) from error


def _key(event_type: str, kind: str) -> bytes:
    # In braces: all keys of a type are in one slot of a cluster.
    return f"{_PREFIX}:{{{event_type}}}:{kind}".encode()


def _stream(event_type: str) -> bytes:
    return _key(event_type, "stream")


def _dead(event_type: str) -> bytes:
    return _key(event_type, "dead")


def _seen(group: str, identity: str) -> bytes:
    return f"{_PREFIX}:seen:{group}:{_digest(identity)}".encode()


def _digest(identity: str) -> str:
    """Return a short name of an event's identity, which may be long."""
    return hashlib.sha256(identity.encode()).hexdigest()[:40]


def _order(dead_id: str) -> tuple[int, str, int]:
    """Return the place of a dead letter among those of all types: Redis's time comes first."""
    event_type, _, message_id = dead_id.rpartition("@")
    milliseconds, _, number = message_id.partition("-")
    return int(milliseconds), event_type, int(number)


def _begin(event_type: str, after: str) -> str:
    """Return where a stream of dead letters goes on after one, which may be of another type."""
    if not _MESSAGE_ID.match(after.rpartition("@")[2]):
        return "-"
    milliseconds, other, number = _order(after)
    if event_type == other:
        return f"({milliseconds}-{number}"
    return f"{milliseconds}-0" if event_type > other else f"{milliseconds + 1}-0"


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _delivery(event_type: str, message_id: bytes, number: int, flat: Any) -> Delivery:
    fields = _fields(flat)
    return Delivery(
        message_id=message_id.decode(),
        event_type=event_type,
        payload=fields[b"event"],
        number=int(number),
        only_group=fields[b"only"].decode(),
    )


def _dead_event(event_type: str, message_id: bytes, flat: Any) -> DeadEvent:
    fields = _fields(flat)
    return DeadEvent(
        dead_id=f"{event_type}@{message_id.decode()}",
        group=fields[b"group"].decode(),
        event_type=event_type,
        payload=fields[b"event"],
        error=fields[b"error"].decode(),
        deliveries=int(fields[b"deliveries"]),
        died_at=int(message_id.partition(b"-")[0]) / 1000,
    )

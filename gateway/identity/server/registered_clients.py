"""Clients that were registered while the server runs: by themselves, or by an operator."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, cast

import orjson

from gateway.identity.clients import MAX_SECRETS, ClientRecord
from gateway.identity.errors import ClientRecordError
from portico.limits.assignments import Assignments
from portico.redis.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.server.revocations import Revocations
    from portico.redis.client import RedisClient

logger = logging.getLogger("portico.identity")

# What a list shows; a deployment with more has a database of its own.
MAX_LISTED = 1000
# Access tokens of one client that are remembered; more end by themselves within minutes.
MAX_LIVE_TOKENS = 1000

_INDEX = b"portico:clients"
_UNREADABLE = (ClientRecordError, KeyError, TypeError, ValueError)
_DERIVED = frozenset({"digests", "keys"})
_SEVERAL = ("scopes", "auth_methods", "grant_types", "audiences")

# ARGV: the record it was, the record it is to be. Of two changes at a time, one happens.
_REPLACE = Script(
    "client-replace",
    """
local now = redis.call('GET', KEYS[1])
if now == ARGV[2] then return 1 end
if now ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
""",
)
# ARGV: a token with when it ends, that time again, now, how many are kept.
_NOTE = Script(
    "client-note-token",
    """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[4])
redis.call('EXPIREAT', KEYS[1], math.max(ARGV[2], redis.call('ZREVRANGE', KEYS[1], 0, 0,
  'WITHSCORES')[2]))
return 1
""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A client, the hash of the token that manages it, and its metadata as it was registered."""

    record: ClientRecord
    management_hash: str = ""
    metadata: Mapping[str, Any]
    raw: bytes = b""


class RegisteredClients:
    """The registered clients in Redis. Every method raises RedisFailure while it is away."""

    __slots__ = ("_clock", "_plans", "_redis", "_revocations")

    def __init__(
        self,
        redis: RedisClient,
        revocations: Revocations,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._revocations = revocations
        self._clock = clock
        # Where limits look for the plan of a client that is not in the configuration.
        self._plans = Assignments(redis)

    async def find(self, client_id: str) -> ClientRecord | None:
        """Return the client, None if there is none of this id."""
        registration = await self.read(client_id)
        return None if registration is None else registration.record

    async def read(self, client_id: str) -> Registration | None:
        """Return all that is kept of a client."""
        raw = await self._redis.execute("GET", _key(client_id), repeatable=True)
        if raw is None:
            return None
        try:
            return _decode(cast("bytes", raw))
        except _UNREADABLE:
            # Of a version that knew other members; it cannot be trusted to say what it may do.
            logger.exception("the record of a registered client cannot be read: %s", client_id)
            return None

    async def add(self, registration: Registration) -> bool:
        """Keep a new client; return False when there is one of this id."""
        record = registration.record
        await self._redis.execute("ZADD", _INDEX, record.registered_at, record.client_id)
        added = await self._redis.execute(
            "SET", _key(record.client_id), _encode(registration), "NX"
        )
        if added is None:
            return False
        if record.plan:
            await self._plans.assign(record.client_id, record.plan)
        return True

    async def replace(self, before: Registration, after: Registration) -> bool:
        """Change a client; return False when somebody else has changed it meanwhile."""
        key = _key(before.record.client_id)
        arguments = (before.raw, _encode(after))
        return await self._redis.run(_REPLACE, [key], arguments, repeatable=True) == 1

    async def remove(self, client_id: str) -> bool:
        """End a client and the access tokens it has; return whether there was one.

        Its refresh tokens end with it, because every refresh looks the client up.
        """
        removed = await self._redis.execute("DEL", _key(client_id))
        await self._redis.execute("ZREM", _INDEX, client_id)
        await self._plans.withdraw(client_id)
        tokens = await self._redis.execute("ZRANGE", _tokens(client_id), 0, -1)
        for token in cast("list[bytes]", tokens):
            token_id, _, expires_at = token.decode().partition(" ")
            await self._revocations.revoke(token_id, float(expires_at))
        return removed == 1

    async def list(self) -> list[ClientRecord]:
        """Return the clients, the oldest first."""
        names = await self._redis.execute("ZRANGE", _INDEX, 0, MAX_LISTED - 1)
        found = [await self.find(name.decode()) for name in cast("list[bytes]", names)]
        return [record for record in found if record is not None]

    async def note_token(self, client_id: str, token_id: str, expires_at: int) -> None:
        """Remember an access token, to end it together with its client."""
        token = f"{token_id} {expires_at}"
        arguments = (token, expires_at, int(self._clock()), MAX_LIVE_TOKENS)
        await self._redis.run(_NOTE, [_tokens(client_id)], arguments, repeatable=True)


def with_new_secret(record: ClientRecord, secret_hash: str, *, alone: bool = False) -> ClientRecord:
    """Return the client with one more secret; the newest two stay valid, or only this one."""
    hashes = (secret_hash, *record.secret_hashes)[: 1 if alone else MAX_SECRETS]
    return replace(record, secret_hashes=hashes)


def _key(client_id: str) -> bytes:
    return f"portico:client:{{{client_id}}}".encode()


def _tokens(client_id: str) -> bytes:
    return f"portico:client-tokens:{{{client_id}}}".encode()


def _encode(registration: Registration) -> bytes:
    record = registration.record
    members = {
        field.name: getattr(record, field.name)
        for field in fields(record)
        if field.name not in _DERIVED
    }
    for name in _SEVERAL:
        members[name] = sorted(members[name])
    return orjson.dumps(
        {
            "record": members,
            "management_hash": registration.management_hash,
            "metadata": registration.metadata,
        }
    )


def _decode(raw: bytes) -> Registration:
    document: dict[str, Any] = orjson.loads(raw)
    members = document.pop("record")
    for name in _SEVERAL:
        members[name] = frozenset(members[name])
    for name in ("secret_hashes", "redirect_uris"):
        members[name] = tuple(members[name])
    return Registration(record=ClientRecord(**members), raw=raw, **document)

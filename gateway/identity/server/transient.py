"""Records that last minutes or hours and have a name nobody can guess.

Pushed requests, sign-ins under way and sessions are of this kind. What is presented is hashed, so
that whoever reads the store cannot present it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import orjson

if TYPE_CHECKING:
    from portico.redis.client import RedisClient

_NAME = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_NAME_BYTES = 32


class Kind(StrEnum):
    """What a record is; its name is good for no other kind."""

    PUSHED_REQUEST = "par"
    INTERACTION = "interaction"
    SESSION = "session"
    UPSTREAM = "upstream"


class TransientRecords:
    """Records in Redis by name. Every method raises RedisFailure while it is away."""

    __slots__ = ("_redis",)

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def put(self, kind: Kind, members: Mapping[str, Any], lifetime_seconds: int) -> str:
        """Keep a record and return its name."""
        name = secrets.token_urlsafe(_NAME_BYTES)
        await self._redis.execute(
            "SET", _key(kind, name), orjson.dumps(members), "PX", lifetime_seconds * 1000
        )
        return name

    async def read(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """Return a record, None when there is none of this name."""
        return await self._ask(b"GET", kind, name)

    async def take(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """Return a record and end it: of two that take it, one gets it."""
        return await self._ask(b"GETDEL", kind, name)

    async def drop(self, kind: Kind, name: str) -> None:
        """End a record."""
        if _NAME.match(name):
            await self._redis.execute("DEL", _key(kind, name))

    async def first_use(self, purpose: str, value: str, lifetime_seconds: int) -> bool:
        """Tell whether a value is used for the first time within its life."""
        digest = sha256(value.encode()).hexdigest()
        key = f"portico:used:{purpose}:{{{digest}}}"
        # Not repeated where the reply is lost: whoever asked gets an error and uses a new value.
        reply = await self._redis.execute("SET", key, b"1", "NX", "PX", lifetime_seconds * 1000)
        return reply is not None

    async def _ask(self, command: bytes, kind: Kind, name: str) -> dict[str, Any] | None:
        if not _NAME.match(name):
            return None
        raw = await self._redis.execute(command, _key(kind, name))
        return None if raw is None else cast("dict[str, Any]", orjson.loads(cast("bytes", raw)))


def _key(kind: Kind, name: str) -> bytes:
    return f"portico:{kind}:{{{sha256(name.encode()).hexdigest()}}}".encode()

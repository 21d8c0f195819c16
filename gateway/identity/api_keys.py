"""API keys for partners that cannot do OAuth: `prefix.secret`, kept in Redis as a hash.

The prefix names the key in lists and logs and may be known; only the secret proves anything.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, cast

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.redis.client import RedisClient

# A year: a key that is never replaced is one that nobody can replace.
MAX_LIFETIME_SECONDS = 366 * 86_400
# What a list shows and Redis is asked for at once; a deployment has as many partners as it has.
MAX_LISTED = 1000

# Scanners of leaked secrets find keys by the fixed word they start with.
_WORD = "portico_"
_PRESENTED = re.compile(rf"({_WORD}[0-9a-f]{{16}})\.([A-Za-z0-9_-]{{43}})\Z")
_SECRET_BYTES = 32
# Compared for a key that does not exist, so that its absence does not show in time.
_NO_HASH = secrets.token_hex(32)
_INDEX = b"portico:api-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRecord:
    """What is known of a key. `client_id` is who uses it, `subject` whom it acts for.

    Times are seconds of the epoch; `plan` is the one of the limits, empty for the default.
    """

    prefix: str
    client_id: str
    subject: str
    scopes: frozenset[str]
    plan: str
    created_at: int
    expires_at: int
    secret_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedApiKey:
    """A new key: `presented` is shown once and kept nowhere."""

    record: ApiKeyRecord
    presented: str = field(repr=False)


class ApiKeys:
    """Issues, finds and revokes keys. Every method raises RedisFailure while Redis is away."""

    __slots__ = ("_clock", "_redis")

    def __init__(self, redis: RedisClient, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def issue(
        self,
        client_id: str,
        scopes: Collection[str],
        lifetime_seconds: int,
        *,
        subject: str = "",
        plan: str = "",
    ) -> IssuedApiKey:
        """Make a key and return it. Raises ValueError for a lifetime of more than a year."""
        if not 0 < lifetime_seconds <= MAX_LIFETIME_SECONDS:
            raise ValueError(
                f"lifetime of {lifetime_seconds} s, expected 1 to {MAX_LIFETIME_SECONDS}"
            )
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        now = int(self._clock())
        record = ApiKeyRecord(
            prefix=_WORD + secrets.token_hex(8),
            client_id=client_id,
            subject=subject or client_id,
            scopes=frozenset(scopes),
            plan=plan,
            created_at=now,
            expires_at=now + lifetime_seconds,
            secret_hash=_hashed(secret),
        )
        # The list first: a key that is listed and missing is harmless, the reverse is not.
        await self._redis.execute("ZREMRANGEBYSCORE", _INDEX, "-inf", now)
        await self._redis.execute("ZADD", _INDEX, record.expires_at, record.prefix)
        await self._redis.execute(
            "SET", _key(record.prefix), _encode(record), "PXAT", record.expires_at * 1000
        )
        return IssuedApiKey(record=record, presented=f"{record.prefix}.{secret}")

    async def find(self, presented: str) -> ApiKeyRecord | None:
        """Return the record of a key that is presented, None for one that is not accepted.

        An unknown prefix and a wrong secret cost the same.
        """
        match = _PRESENTED.match(presented)
        if match is None:
            return None
        record = await self._read(match[1])
        expected = _NO_HASH if record is None else record.secret_hash
        genuine = compare_digest(_hashed(match[2]), expected)
        if record is None or not genuine or record.expires_at <= self._clock():
            return None
        return record

    async def revoke(self, prefix: str) -> bool:
        """End a key at once and return whether there was one."""
        removed = await self._redis.execute("DEL", _key(prefix))
        await self._redis.execute("ZREM", _INDEX, prefix)
        return removed == 1

    async def list(self) -> list[ApiKeyRecord]:
        """Return the keys that are valid, the one that ends first in front."""
        now = int(self._clock())
        prefixes = await self._redis.execute(
            "ZRANGEBYSCORE", _INDEX, f"({now}", "+inf", "LIMIT", 0, MAX_LISTED
        )
        found = [await self._read(prefix.decode()) for prefix in cast("list[bytes]", prefixes)]
        return [record for record in found if record is not None]

    async def _read(self, prefix: str) -> ApiKeyRecord | None:
        raw = await self._redis.execute("GET", _key(prefix), repeatable=True)
        return None if raw is None else _decode(prefix, cast("bytes", raw))


def _key(prefix: str) -> bytes:
    return f"portico:api-key:{{{prefix}}}".encode()


def _hashed(secret: str) -> str:
    # Fast, because the secret is too long to be guessed.
    return sha256(secret.encode()).hexdigest()


def _encode(record: ApiKeyRecord) -> bytes:
    return orjson.dumps(
        {
            "client_id": record.client_id,
            "subject": record.subject,
            "scopes": sorted(record.scopes),
            "plan": record.plan,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "secret_hash": record.secret_hash,
        }
    )


def _decode(prefix: str, raw: bytes) -> ApiKeyRecord:
    members: dict[str, Any] = orjson.loads(raw)
    return ApiKeyRecord(prefix=prefix, scopes=frozenset(members.pop("scopes")), **members)

"""Everything that was issued from one authorization: one record, changed by one script at a time.

A family begins with a code, which is redeemed once. Its refresh tokens are generations of one
another; an old one that comes back ends the family (RFC 9700 section 4.14), except within a short
grace, in which two requests of the same client may meet.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import orjson

from gateway.identity.server.scripts import END, REDEEM, ROTATE

if TYPE_CHECKING:
    from gateway.identity.server.revocations import Revocations
    from portico.redis.client import RedisClient
    from portico.redis.script import Script

logger = logging.getLogger("portico.identity")

# Redirects take seconds; what is longer only helps who stole the code.
CODE_LIFETIME_SECONDS = 60
# Two tabs or a lost answer: the second request comes within seconds (RFC 9700 section 4.14.2).
GRACE_SECONDS = 10.0


class Stage(StrEnum):
    """Where a family is in its life."""

    CODE = "C"
    ACTIVE = "A"
    ENDED = "E"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a person allowed a client. `resources` are the audiences asked for, if any were.

    Times are seconds of the epoch. `user` is a person's name in the configuration and `user_stamp`
    that of the password. `refreshes` tells whether refresh tokens are issued, and `bound_to` by
    which key alone they can be used (RFC 9449 section 5).
    """

    client_id: str
    subject: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    redirect_uri: str
    code_challenge: str
    authenticated_at: int
    expires_at: int
    refreshes: bool
    user: str = ""
    user_stamp: str = ""
    stage: Stage = Stage.CODE
    generation: int = 0
    bound_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An access token that is about to be issued from a family."""

    token_id: str
    expires_at: int


class Outcome(StrEnum):
    """What a script made of a code or a refresh token."""

    USED = "USED"
    GONE = "GONE"
    REUSED = "REUSED"


class Families:
    """The families in Redis. Every method raises RedisFailure while it is away."""

    __slots__ = ("_grace_ms", "_redis", "_revocations")

    def __init__(
        self, redis: RedisClient, revocations: Revocations, *, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._redis = redis
        self._revocations = revocations
        self._grace_ms = int(grace_seconds * 1000)

    async def begin(self, name: str, family: Family) -> None:
        """Keep a family for as long as its code may be redeemed."""
        members = asdict(family)
        del members["stage"], members["generation"], members["bound_to"]
        await self._redis.execute(
            "SET",
            _key(name),
            b"%b 0 0 0 -\n\n%b" % (Stage.CODE.encode(), orjson.dumps(members)),
            "PX",
            CODE_LIFETIME_SECONDS * 1000,
        )

    async def look(self, name: str) -> Family | None:
        """Return the family, None when it is over."""
        raw = cast("bytes | None", await self._redis.execute("GET", _key(name), repeatable=True))
        if raw is None:
            return None
        try:
            return _read(raw)
        except (KeyError, TypeError, ValueError):
            # Of a version that knew other members: whoever allowed it is asked again.
            logger.exception("the record of an authorization cannot be read")
            return None

    async def redeem(
        self, name: str, use: Use, keep_seconds: int, *, bound_to: str = ""
    ) -> Outcome:
        """Use the code of a family, which lasts for `keep_seconds` from now on.

        A code that was used before ends the family and what was issued from it (OAuth 2.1, 4.1.3).
        """
        arguments = (use.token_id, use.expires_at, max(1, keep_seconds) * 1000, bound_to or "-")
        return await self._run(REDEEM, name, arguments)

    async def rotate(self, name: str, generation: int, use: Use) -> Outcome:
        """Use the refresh token of a generation; the next one follows it."""
        arguments = (use.token_id, use.expires_at, generation, self._grace_ms)
        return await self._run(ROTATE, name, arguments)

    async def end(self, name: str) -> None:
        """End a family and every access token that was issued from it."""
        await self._run(END, name, ())

    async def _run(
        self, script: Script, name: str, arguments: Sequence[bytes | str | int]
    ) -> Outcome:
        reply = await self._redis.run(script, [_key(name)], arguments, repeatable=True)
        outcome, live = cast("tuple[bytes, bytes]", reply)
        # Also where the family had ended before: an earlier attempt may not have come this far.
        words = live.decode().split()
        for token_id, expires_at in zip(words[::2], words[1::2], strict=True):
            await self._revocations.revoke(token_id, int(expires_at))
        return Outcome(outcome.decode())


def _read(raw: bytes) -> Family:
    head, _, about = raw.split(b"\n", 2)
    stage, generation, _, _, bound_to = head.split(b" ")
    members: dict[str, Any] = orjson.loads(about)
    for several in ("scopes", "resources"):
        members[several] = tuple(members[several])
    return replace(
        Family(**members),
        stage=Stage(stage.decode()),
        generation=int(generation),
        bound_to="" if bound_to == b"-" else bound_to.decode(),
    )


def _key(name: str) -> bytes:
    return f"portico:family:{{{name}}}".encode()

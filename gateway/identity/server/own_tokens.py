"""Reading access tokens that this server issued: for exchange, introspection and revocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.identity.claims import check_header, read_caller
from gateway.identity.compact import InvalidTokenError, read_claims, read_compact
from gateway.identity.token_policy import built_in_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.keys import KeyRing
    from gateway.identity.server.revocations import Revocations


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnToken:
    """A token that is genuine, has not expired and was not revoked; `claims` are all of them."""

    subject: str
    client_id: str
    scopes: frozenset[str]
    audiences: frozenset[str]
    token_id: str
    expires_at: float
    actor: Mapping[str, object] | None
    may_act: str | None
    authenticated_at: int
    claims: Mapping[str, object]


class OwnTokens:
    """Tells tokens of this server that count from everything else."""

    __slots__ = ("_clock", "_keys", "_policy", "_revocations")

    def __init__(
        self,
        keys: KeyRing,
        issuer: str,
        revocations: Revocations | None,
        clock: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._policy = built_in_policy(issuer, leeway_seconds=0)
        self._revocations = revocations
        self._clock = clock

    async def read(self, token: str) -> OwnToken | None:
        """Return the token, None for one that does not count. Raises RedisFailure."""
        try:
            found = self._parse(token.encode("ascii"))
        except (InvalidTokenError, UnicodeEncodeError):
            return None
        if self._revocations is not None and await self._revocations.is_revoked(found.token_id):
            return None
        return found

    def _parse(self, token: bytes) -> OwnToken:
        compact = read_compact(token)
        check_header(compact.header, self._policy)
        key = self._keys.snapshot.key_set.find(compact.header.get("kid"))
        algorithm = str(compact.header["alg"])
        if key is None or not key.verifies(algorithm, compact.signing_input, compact.signature):
            raise InvalidTokenError("not signed by this issuer")
        claims = read_claims(compact)
        caller = read_caller(claims, policy=self._policy, now=self._clock())
        may_act = claims.get("may_act")
        return OwnToken(
            subject=caller.subject,
            client_id=caller.client_id,
            scopes=caller.scopes,
            audiences=caller.audiences,
            token_id=caller.token_id,
            expires_at=caller.expires_at,
            actor=caller.actor,
            authenticated_at=int(caller.authenticated_at),
            may_act=str(may_act.get("sub")) if isinstance(may_act, dict) else None,
            claims=claims,
        )

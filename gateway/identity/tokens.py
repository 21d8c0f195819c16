"""Minting access tokens: RFC 9068 JWTs signed by the key ring."""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from gateway.identity.issuer import checked_issuer
from gateway.identity.keys import KeyRing, sign

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type, not a password
# A service's token lives ten minutes: it cannot be called back before it ends.
SERVICE_LIFETIME_SECONDS = 600
# An hour suffices for a person at a terminal.
MAX_LIFETIME_SECONDS = 3600
# A token from tier to tier serves the calls of one request or job.
TIER_LIFETIME_SECONDS = 300


def new_token_id() -> str:
    """Return a `jti` that no other token has."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What an access token is to say (RFC 9068 section 2.2).

    `actor` is who acts for the subject (RFC 8693 section 4.1), `confirmation` what proves that the
    sender is the one it was issued to (RFC 7800), `authenticated_at` when a person last signed in.
    """

    subject: str
    client_id: str
    audiences: tuple[str, ...]
    scopes: Collection[str]
    lifetime_seconds: int
    actor: Mapping[str, object] | None = None
    confirmation: Mapping[str, object] | None = None
    authenticated_at: int = 0
    token_id: str = field(default_factory=new_token_id)


class TokenIssuer:
    """The built-in issuer. `audience` is the gateway's own identifier as a resource."""

    __slots__ = ("_clock", "_keys", "audience", "issuer")

    def __init__(
        self, keys: KeyRing, *, issuer: str, audience: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._clock = clock
        self.issuer = checked_issuer(issuer)
        self.audience = audience

    def mint(
        self,
        subject: str,
        client_id: str,
        audience: str,
        scopes: Collection[str],
        lifetime_seconds: int,
        *,
        actor: Mapping[str, object] | None = None,
    ) -> str:
        """Return a signed token for one audience; raises what `issue` raises."""
        return self.issue(
            AccessToken(
                subject=subject,
                client_id=client_id,
                audiences=(audience,),
                scopes=scopes,
                lifetime_seconds=lifetime_seconds,
                actor=actor,
            )
        )

    def issue(self, token: AccessToken) -> str:
        """Return the signed token.

        Raises ValueError for a lifetime longer than an audience allows: an hour for the gateway
        and addresses below it, five minutes for an API of the tiers by its name.
        """
        self._check_lifetime(token)
        issued_at = int(self._clock())
        audiences = token.audiences
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": audiences[0] if len(audiences) == 1 else list(audiences),
            "sub": token.subject,
            "client_id": token.client_id,
            "iat": issued_at,
            "exp": issued_at + token.lifetime_seconds,
            "jti": token.token_id,
        }
        if token.scopes:
            claims["scope"] = " ".join(sorted(token.scopes))
        if token.authenticated_at:
            claims["auth_time"] = token.authenticated_at
        if token.actor is not None:
            claims["act"] = dict(token.actor)
        if token.confirmation is not None:
            claims["cnf"] = dict(token.confirmation)
        return self._sign(claims)

    def now(self) -> float:
        """Return the time that tokens are issued by."""
        return self._clock()

    def longest_seconds(self, audience: str) -> int:
        """Return how long a token for the audience may live."""
        edge = audience == self.audience or audience.startswith(("https://", "http://"))
        return MAX_LIFETIME_SECONDS if edge else TIER_LIFETIME_SECONDS

    def _check_lifetime(self, token: AccessToken) -> None:
        longest = min(self.longest_seconds(audience) for audience in token.audiences)
        if not 0 < token.lifetime_seconds <= longest:
            raise ValueError(
                f"lifetime of {token.lifetime_seconds} s for {', '.join(token.audiences)}, "
                f"expected 1 to {longest}"
            )

    def _sign(self, claims: dict[str, object]) -> str:
        key = self._keys.snapshot.signing
        header = {"alg": key.alg, "typ": TOKEN_TYPE, "kid": key.kid}
        signing_input = b".".join(_encoded(orjson.dumps(part)) for part in (header, claims))
        return b".".join((signing_input, _encoded(sign(key, signing_input)))).decode()

    def __repr__(self) -> str:
        return f"<TokenIssuer {self.issuer} for {self.audience}>"


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")

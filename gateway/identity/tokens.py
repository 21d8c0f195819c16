"""Minting access tokens: RFC 9068 JWTs signed by the key ring."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from joserfc import jwt

from gateway.identity.issuer import checked_issuer
from gateway.identity.keys import ALGORITHM, KeyRing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type, not a password
# A service's token lives ten minutes: it cannot be called back before it ends.
SERVICE_LIFETIME_SECONDS = 600
# An hour suffices for a person at a terminal.
MAX_LIFETIME_SECONDS = 3600
# A token from tier to tier serves the calls of one request or job.
TIER_LIFETIME_SECONDS = 300


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
        """Return a signed token. `actor` is who acts for the subject (RFC 8693 section 4.1).

        Raises ValueError for a lifetime longer than the audience allows: an hour for the
        gateway, five minutes for anything else.
        """
        self._check_lifetime(audience, lifetime_seconds)
        issued_at = int(self._clock())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": audience,
            "sub": subject,
            "client_id": client_id,
            "iat": issued_at,
            "exp": issued_at + lifetime_seconds,
            "jti": secrets.token_urlsafe(16),
        }
        if scopes:
            claims["scope"] = " ".join(sorted(scopes))
        if actor is not None:
            claims["act"] = dict(actor)
        return self._sign(claims)

    def _check_lifetime(self, audience: str, lifetime_seconds: int) -> None:
        longest = MAX_LIFETIME_SECONDS if audience == self.audience else TIER_LIFETIME_SECONDS
        if not 0 < lifetime_seconds <= longest:
            raise ValueError(
                f"lifetime of {lifetime_seconds} s for {audience}, expected 1 to {longest}"
            )

    def _sign(self, claims: dict[str, object]) -> str:
        key = self._keys.snapshot.signing
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid}
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM])

    def __repr__(self) -> str:
        return f"<TokenIssuer {self.issuer} for {self.audience}>"

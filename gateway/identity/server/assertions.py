"""Client assertions: JWTs by which a client proves that it has a private key (RFC 7523)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.identity.compact import CompactToken, InvalidTokenError, read_claims, read_compact
from gateway.identity.server.errors import rejected_client, store_unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.identity.clients import ClientRecord
    from gateway.identity.server.transient import TransientRecords

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("ES256", "ES384", "ES512", "EdDSA", "PS256", "RS256")

# An assertion is made for one request.
MAX_LIFETIME_SECONDS = 300
_LEEWAY_SECONDS = 30
_MAX_ID_CHARACTERS = 256
_YEAR_10000 = 253_402_300_800
_TYPES = frozenset({"jwt", "client-authentication+jwt"})


class AssertionVerifier:
    """Verifies assertions that are addressed to one issuer, each of them once."""

    __slots__ = ("_clock", "_issuer", "_records")

    def __init__(
        self, issuer: str, records: TransientRecords | None, clock: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._records = records
        self._clock = clock

    def client_id(self, assertion: str) -> str:
        """Return whom an assertion claims to be from: nothing is proven yet.

        Raises InvalidClientError when it cannot be read.
        """
        subject = _claims(_read(assertion)).get("sub")
        if not isinstance(subject, str) or not subject:
            raise rejected_client()
        return subject

    async def verify(self, client: ClientRecord, assertion: str) -> None:
        """Raise OAuth2Error unless the client made this assertion, for us and just now."""
        token = _read(assertion)
        self._check_signature(client, token)
        claims = _claims(token)
        token_id, left_seconds = self._check_claims(client, claims)
        if self._records is None:
            raise store_unavailable()
        # Last: a forged assertion must not use up the id of a genuine one.
        purpose = f"assertion:{client.client_id}"
        lifetime_seconds = int(left_seconds) + _LEEWAY_SECONDS + 1
        if not await self._records.first_use(purpose, token_id, lifetime_seconds):
            raise rejected_client()

    def _check_signature(self, client: ClientRecord, token: CompactToken) -> None:
        algorithm, key_id = token.header.get("alg"), token.header.get("kid", "")
        kind = token.header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in _TYPES or "crit" in token.header:
            raise rejected_client()
        if algorithm not in ALGORITHMS or not isinstance(key_id, str):
            raise rejected_client()
        if not client.keys.verify(str(algorithm), key_id, token.signing_input, token.signature):
            raise rejected_client()

    def _check_claims(
        self, client: ClientRecord, claims: Mapping[str, object]
    ) -> tuple[str, float]:
        """Return the id of the assertion and for how long it is good."""
        now = self._clock()
        if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
            raise rejected_client()
        # The issuer alone: an assertion made for another server's endpoint is not for us
        # (draft-ietf-oauth-rfc7523bis).
        if claims.get("aud") not in (self._issuer, [self._issuer]):
            raise rejected_client()
        left_seconds = _number(claims, "exp") - now
        earliest = max(_number(claims, "iat", 0.0), _number(claims, "nbf", 0.0))
        if not -_LEEWAY_SECONDS < left_seconds <= MAX_LIFETIME_SECONDS + _LEEWAY_SECONDS:
            raise rejected_client()
        token_id = claims.get("jti")
        if earliest > now + _LEEWAY_SECONDS or not isinstance(token_id, str):
            raise rejected_client()
        if not 1 <= len(token_id) <= _MAX_ID_CHARACTERS or not token_id.isprintable():
            raise rejected_client()
        return token_id, max(0.0, left_seconds)


def _read(assertion: str) -> CompactToken:
    try:
        return read_compact(assertion.encode("ascii"))
    except (InvalidTokenError, UnicodeEncodeError):
        raise rejected_client() from None


def _claims(token: CompactToken) -> dict[str, object]:
    try:
        return read_claims(token)
    except InvalidTokenError:
        raise rejected_client() from None


def _number(claims: Mapping[str, object], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    # A boolean is an int to Python but not a time.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise rejected_client()
    if not 0 <= value < _YEAR_10000:
        raise rejected_client()
    return float(value)

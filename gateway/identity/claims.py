"""Checking what a token says: its header before the signature, its claims after."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.identity.compact import InvalidTokenError
from gateway.identity.keys import ALGORITHM
from portico.server.call import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

# More would hide a clock that is wrong instead of tolerating one that drifts.
MAX_LEEWAY_SECONDS = 60

_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_YEAR_10000 = 253_402_300_800
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCaller(Caller):
    """A caller proven by an access token, with what later checks need of that token.

    `actor` is the `act` claim: who acts for the subject (RFC 8693 section 4.1).
    """

    audiences: frozenset[str]
    token_id: str
    expires_at: float
    actor: Mapping[str, object] | None = None


def check_header(header: Mapping[str, object]) -> None:
    """Raise InvalidTokenError unless the header is that of an ES256 access token.

    `jwk`, `jku`, `x5c` and `x5u` are ignored: keys come from the issuer, never from a token.
    """
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidTokenError("the token is not an access token, its typ must be at+jwt")
    if header.get("alg") != ALGORITHM:
        raise InvalidTokenError(f"the token is not signed with {ALGORITHM}")
    # No extension is understood here, so none may be critical, unencoded payloads included.
    if "crit" in header or "b64" in header:
        raise InvalidTokenError("the token uses an extension that is not supported")


def read_caller(
    claims: Mapping[str, object], *, issuer: str, now: float, leeway_seconds: float
) -> TokenCaller:
    """Return the caller that verified claims name. The audience is for the caller to check.

    Raises InvalidTokenError when a claim of RFC 9068 is missing, of the wrong type or wrong.
    """
    if claims.get("iss") != issuer:
        raise InvalidTokenError("the token is from another issuer")
    expires_at = _time(claims, "exp")
    if expires_at <= now - leeway_seconds:
        raise InvalidTokenError("the token has expired")
    if max(_time(claims, "iat"), _time(claims, "nbf", default=0)) > now + leeway_seconds:
        raise InvalidTokenError("the token is not valid yet")
    return TokenCaller(
        subject=_text(claims, "sub"),
        client_id=_text(claims, "client_id"),
        scopes=_scopes(claims),
        audiences=_audiences(claims),
        token_id=_text(claims, "jti"),
        expires_at=expires_at,
        actor=_actor(claims),
    )


def _time(claims: Mapping[str, object], name: str, *, default: object = _MISSING) -> float:
    value = claims.get(name, default)
    # A boolean is an int to Python but not a time.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTokenError(f"the claim {name} of the token is missing or not a number")
    if not 0 <= value < _YEAR_10000:
        raise InvalidTokenError(f"the claim {name} of the token is out of range")
    return value


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    # JSON can spell lone surrogates, which no log and no header could carry.
    if not isinstance(value, str) or not value or not _encodable(value):
        raise InvalidTokenError(f"the claim {name} of the token is missing or not a text")
    return value


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    value = claims.get("scope", "")
    if not isinstance(value, str):
        raise InvalidTokenError("the claim scope of the token is not a text")
    return frozenset(value.split())


def _audiences(claims: Mapping[str, object]) -> frozenset[str]:
    value = claims.get("aud")
    audiences = value if isinstance(value, list) else [value]
    if not audiences or not all(isinstance(audience, str) and audience for audience in audiences):
        raise InvalidTokenError("the claim aud of the token is missing or not a text")
    return frozenset(audiences)


def _actor(claims: Mapping[str, object]) -> Mapping[str, object] | None:
    value = claims.get("act")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidTokenError("the claim act of the token is not an object")
    return MappingProxyType(value)


def _encodable(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)

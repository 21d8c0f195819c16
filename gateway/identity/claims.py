"""Checking what a token says: its header before the signature, its claims after."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.identity.compact import InvalidTokenError
from portico.server.call import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.identity.token_policy import ClaimPath, TokenPolicy

_TYPES = frozenset({"at+jwt", "application/at+jwt"})
# Types of other JWTs, which are never access tokens, whatever an issuer is used to.
_OTHER_TYPES = frozenset({"id+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt"})
# Where issuers that do not follow RFC 9068 put what it calls client_id and jti.
_CLIENT_CLAIMS = ("client_id", "azp", "appid", "cid")
_ID_CLAIMS = ("jti", "uti")
# What only ID tokens have (OpenID Connect Core 3.1.3.6 and 3.3.2.11).
_ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash", "s_hash", "nonce"})
# Keycloak says in the claims what the header of an access token should say.
_KEYCLOAK_TYPES = ("Bearer", "DPoP")  # a tuple: what is looked for may be anything
_YEAR_10000 = 253_402_300_800
# A chain of actors is as long as a request has hops.
_MAX_ACTORS = 16
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCaller(Caller):
    """A caller proven by an access token, with what later checks need of that token.

    `actor` is the `act` claim: who acts for the subject (RFC 8693 section 4.1). The thumbprints
    are those of the key (RFC 9449) and the certificate (RFC 8705) that the token is bound to.
    """

    issuer: str
    audiences: frozenset[str]
    token_id: str
    expires_at: float
    actor: Mapping[str, object] | None = None
    key_thumbprint: str = ""
    certificate_thumbprint: str = ""
    acr: str = ""
    authenticated_at: float = 0.0

    @property
    def bound(self) -> bool:
        """Tell whether the token alone proves nothing."""
        return bool(self.key_thumbprint or self.certificate_thumbprint)


def check_header(header: Mapping[str, object], policy: TokenPolicy) -> None:
    """Raise InvalidTokenError unless the header is that of an access token of an issuer.

    `jwk`, `jku`, `x5c` and `x5u` are ignored: keys come from the issuer, never from a token.
    """
    _check_type(header.get("typ", _MISSING), policy)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in policy.algorithms:
        accepted = ", ".join(sorted(policy.algorithms))
        raise InvalidTokenError(f"the token is not signed with {accepted}")
    # No extension is understood here, so none may be critical, unencoded payloads included.
    if "crit" in header or "b64" in header:
        raise InvalidTokenError("the token uses an extension that is not supported")


def _check_type(kind: object, policy: TokenPolicy) -> None:
    lowered = kind.lower() if isinstance(kind, str) else kind
    if policy.profile:
        accepted = lowered in _TYPES if isinstance(lowered, str) else False
    else:
        # Some say JWT, some nothing, some a type of their own.
        accepted = kind is _MISSING or (isinstance(lowered, str) and lowered not in _OTHER_TYPES)
    if not accepted:
        raise InvalidTokenError("the token is not an access token, its typ must be at+jwt")


def read_caller(claims: Mapping[str, object], *, policy: TokenPolicy, now: float) -> TokenCaller:
    """Return the caller that verified claims name. Whether it may call is not decided here.

    Raises InvalidTokenError when a claim of RFC 9068 is missing, of the wrong type or wrong.
    """
    if claims.get("iss") != policy.issuer:
        raise InvalidTokenError("the token is from another issuer")
    expires_at = _time(claims, "exp")
    leeway = policy.leeway_seconds
    if expires_at <= now - leeway:
        raise InvalidTokenError("the token has expired")
    if max(_time(claims, "iat"), _time(claims, "nbf", default=0)) > now + leeway:
        raise InvalidTokenError("the token is not valid yet")
    if not policy.profile:
        _refuse_id_token(claims, policy)
    client_id = _client_id(claims, policy)
    actor = _actor(claims)
    confirmation = _confirmation(claims)
    return TokenCaller(
        subject=policy.prefix + _text(claims, "sub"),
        client_id=policy.prefix + client_id,
        scopes=_scopes(claims, policy),
        actors=_actors(actor, client_id),
        issuer=policy.issuer,
        audiences=_audiences(claims, policy),
        token_id=_token_id(claims, policy),
        expires_at=expires_at,
        actor=actor,
        key_thumbprint=_optional_text(confirmation, "jkt"),
        certificate_thumbprint=_optional_text(confirmation, "x5t#S256"),
        acr=_optional_text(claims, "acr"),
        authenticated_at=_time(claims, "auth_time", default=0),
    )


def _refuse_id_token(claims: Mapping[str, object], policy: TokenPolicy) -> None:
    """Raise for a token that is for showing who signed in, where the header does not tell."""
    marked = not _ID_TOKEN_CLAIMS.isdisjoint(claims)
    kind, use = claims.get("typ"), claims.get("token_use")
    marked = marked or (kind is not None and kind not in _KEYCLOAK_TYPES)
    marked = marked or (use is not None and use != "access")
    if marked or all(_at(claims, path) is None for path in policy.scope_claims):
        raise InvalidTokenError("the token is not an access token")


def _client_id(claims: Mapping[str, object], policy: TokenPolicy) -> str:
    if policy.profile:
        return _text(claims, "client_id")
    name = next((name for name in _CLIENT_CLAIMS if claims.get(name) is not None), "client_id")
    return _text(claims, name)


def _token_id(claims: Mapping[str, object], policy: TokenPolicy) -> str:
    if policy.profile:
        return _text(claims, "jti")
    name = next((name for name in _ID_CLAIMS if claims.get(name) is not None), "")
    return _text(claims, name) if name else ""


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


def _optional_text(claims: Mapping[str, object], name: str) -> str:
    return "" if claims.get(name) is None else _text(claims, name)


def _scopes(claims: Mapping[str, object], policy: TokenPolicy) -> frozenset[str]:
    if policy.profile and not isinstance(claims.get("scope", ""), str):
        raise InvalidTokenError("the claim scope of the token is not a text")
    found: set[str] = set()
    for path in policy.scope_claims:
        for name in _names(_at(claims, path)):
            found.update(policy.scope_names.get(name, (name,)))
    return frozenset(found)


def _at(claims: Mapping[str, object], path: ClaimPath) -> object:
    value: object = claims
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _names(value: object) -> Iterator[str]:
    """Yield the scopes in a text or in a list of texts; issuers write both."""
    if isinstance(value, str):
        yield from value.split()
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield from value
    elif value is not None:
        raise InvalidTokenError("a claim of the token with scopes is neither text nor texts")


def _audiences(claims: Mapping[str, object], policy: TokenPolicy) -> frozenset[str]:
    value = claims.get("aud")
    audiences = value if isinstance(value, list) else [value]
    if not audiences or not all(isinstance(audience, str) and audience for audience in audiences):
        raise InvalidTokenError("the claim aud of the token is missing or not a text")
    if not policy.audience:
        return frozenset(audiences)
    if policy.audience not in audiences:
        raise InvalidTokenError("the token is for another audience")
    # No other name of ours: whoever issues it does not decide what else is meant.
    return frozenset({policy.stands_for})


def _actor(claims: Mapping[str, object]) -> Mapping[str, object] | None:
    value = claims.get("act")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidTokenError("the claim act of the token is not an object")
    return MappingProxyType(value)


def _actors(actor: Mapping[str, object] | None, client_id: str) -> tuple[str, ...]:
    """Return the actors before the client itself, the latest first."""
    names: list[str] = []
    node: object = actor
    while isinstance(node, dict | MappingProxyType) and len(names) <= _MAX_ACTORS:
        name = node.get("sub")
        if not isinstance(name, str) or not _encodable(name):
            break
        names.append(name)
        node = node.get("act")
    return tuple(names[1:] if names[:1] == [client_id] else names)[:_MAX_ACTORS]


def _confirmation(claims: Mapping[str, object]) -> Mapping[str, object]:
    """Return how the token is bound. One that is bound in an unknown way proves nothing."""
    value = claims.get("cnf")
    if value is None:
        return {}
    if not isinstance(value, dict) or not value.keys() <= {"jkt", "x5t#S256"} or not value:
        raise InvalidTokenError("the token is bound in a way that is not supported")
    return value


def _encodable(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)

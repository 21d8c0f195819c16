"""What an application says about itself when it registers (RFC 7591 section 2), read strictly.

Nothing that it names is fetched: keys come in the request, logos are not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749.errors import OAuth2Error

from gateway.identity.clients import (
    AUTHORIZATION_CODE,
    BASIC,
    REFRESH_TOKEN,
    SECRET_METHODS,
    ClientRecord,
)
from gateway.identity.errors import ClientRecordError
from gateway.identity.redirect_uris import wrong_with

MAX_REDIRECT_URIS = 16
_MAX_TEXT = 1024
_MAX_NAME = 256
# An authorization code client with a secret, unless it says otherwise.
_DEFAULT_GRANTS = (AUTHORIZATION_CODE,)
# What a client may say about itself that is kept and told, but not acted upon.
_TEXTS = ("client_name", "client_uri", "policy_uri", "tos_uri", "software_id", "software_version")
# RFC 9449 section 5.2 and RFC 9126 section 6.
_FLAGS = ("dpop_bound_access_tokens", "require_pushed_authorization_requests")
_KEY_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg")
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class MetadataError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A registration that cannot be accepted (RFC 7591 section 3.2.2)."""

    error = "invalid_client_metadata"


class RedirectURIError(MetadataError):
    """A redirect URI that cannot be accepted."""

    error = "invalid_redirect_uri"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPolicy:
    """What whoever registers may get: `initial_hash` is that of the token needed for it."""

    initial_hash: str
    scopes: frozenset[str]
    grant_types: frozenset[str]
    plan: str = ""

    def read(
        self,
        metadata: Mapping[str, Any],
        client_id: str,
        hashes: tuple[str, ...],
        registered_at: int,
    ) -> tuple[ClientRecord, dict[str, Any]]:
        """Return the client that metadata describe, and the metadata as they were understood.

        `hashes` are those of its secrets, if its method uses one. Raises MetadataError.
        """
        if "jwks_uri" in metadata or "software_statement" in metadata:
            raise MetadataError("send the keys in jwks; nothing is fetched from elsewhere")
        method = _text(metadata, "token_endpoint_auth_method") or BASIC
        native = (_text(metadata, "application_type") or "web") == "native"
        kept: dict[str, Any] = {name: _text(metadata, name) for name in _TEXTS if name in metadata}
        kept |= {
            "token_endpoint_auth_method": method,
            "application_type": "native" if native else "web",
            "redirect_uris": _redirect_uris(metadata, native=native),
            "grant_types": self._grants(metadata),
            "scope": self._scope(metadata),
        }
        kept |= {name: _flag(metadata, name) for name in _FLAGS if name in metadata}
        kept["response_types"] = ["code"] if AUTHORIZATION_CODE in kept["grant_types"] else []
        if "jwks" in metadata:
            kept["jwks"] = _key_set(metadata["jwks"])
        try:
            used = hashes if method in SECRET_METHODS else ()
            record = self._record(kept, client_id, used, registered_at)
        except ClientRecordError as error:
            raise MetadataError(str(error).partition(client_id)[2].strip() or "unusable") from None
        return record, kept

    def _record(
        self,
        kept: Mapping[str, Any],
        client_id: str,
        hashes: tuple[str, ...],
        registered_at: int,
    ) -> ClientRecord:
        return ClientRecord(
            client_id=client_id,
            name=kept.get("client_name", ""),
            scopes=frozenset(kept["scope"].split()),
            secret_hashes=hashes,
            auth_methods=frozenset({kept["token_endpoint_auth_method"]}),
            grant_types=frozenset(kept["grant_types"]),
            redirect_uris=tuple(kept["redirect_uris"]),
            native=kept["application_type"] == "native",
            jwks=kept.get("jwks"),
            dpop_bound=kept.get("dpop_bound_access_tokens", False),
            pushed_requests_only=kept.get("require_pushed_authorization_requests", False),
            plan=self.plan,
            registered_at=registered_at,
        )

    def _grants(self, metadata: Mapping[str, Any]) -> list[str]:
        grants = _texts(metadata, "grant_types") or list(_DEFAULT_GRANTS)
        if not set(grants) <= self.grant_types:
            raise MetadataError("a grant type is not offered to clients that register")
        responses = _texts(metadata, "response_types")
        if responses not in ([], ["code"]):
            raise MetadataError("the response type is code")
        if REFRESH_TOKEN in grants and AUTHORIZATION_CODE not in grants:
            raise MetadataError("refresh_token needs authorization_code")
        return grants

    def _scope(self, metadata: Mapping[str, Any]) -> str:
        asked = _text(metadata, "scope").split()
        if not set(asked) <= self.scopes:
            raise MetadataError("a scope is not offered to clients that register")
        return " ".join(dict.fromkeys(asked) if asked else sorted(self.scopes))


def _text(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name, "")
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise MetadataError(f"{name} is not a text of one line")
    if name == "client_name" and len(value) > _MAX_NAME:
        raise MetadataError("client_name is too long")
    return value


def _flag(metadata: Mapping[str, Any], name: str) -> bool:
    value = metadata[name]
    if not isinstance(value, bool):
        raise MetadataError(f"{name} is not true or false")
    return value


def _texts(metadata: Mapping[str, Any], name: str) -> list[str]:
    value = metadata.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MetadataError(f"{name} is not a list of texts")
    return list(dict.fromkeys(value))


def _key_set(jwks: object) -> dict[str, Any]:
    """Return a JWK Set with the members that are looked at: what else is in it is not kept."""
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise MetadataError("jwks is not a JWK Set")
    if any(_SECRET_MEMBERS & member.keys() for member in members):
        raise MetadataError("jwks has a private or symmetric key")
    return {"keys": [_key(member) for member in members]}


def _key(member: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: member[name] for name in _KEY_MEMBERS if isinstance(member.get(name), str)}
    chain = member.get("x5c", [])
    if not isinstance(chain, list):
        raise MetadataError("x5c is not a list of certificates")
    if not all(isinstance(text, str) and text.isascii() for text in [*found.values(), *chain]):
        raise MetadataError("a key in jwks is not one")
    return {**found, "x5c": chain} if chain else found


def _redirect_uris(metadata: Mapping[str, Any], *, native: bool) -> list[str]:
    try:
        uris = _texts(metadata, "redirect_uris")
    except MetadataError:
        raise RedirectURIError("redirect_uris is not a list of texts") from None
    if len(uris) > MAX_REDIRECT_URIS:
        raise RedirectURIError(f"more than {MAX_REDIRECT_URIS} redirect URIs")
    for uri in uris:
        reason = wrong_with(uri, native=native)
        if reason:
            raise RedirectURIError(f"a redirect URI {reason}")
    return uris

"""Dynamic registration: clients that introduce themselves (RFC 7591) and change (RFC 7592).

Registering needs the initial token of the configuration. Nothing that a client names is fetched:
keys come in the request, logos are not shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error
from starlette.responses import Response

from gateway.identity.clients import (
    AUTHORIZATION_CODE,
    BASIC,
    REFRESH_TOKEN,
    SECRET_METHODS,
    ClientRecord,
    hash_secret,
)
from gateway.identity.errors import ClientRecordError
from gateway.identity.issuer import REGISTER_PATH
from gateway.identity.json_object import read_object
from gateway.identity.redirect_uris import wrong_with
from gateway.identity.server.endpoint import NO_STORE, as_json, present
from gateway.identity.server.errors import too_many_attempts
from gateway.identity.server.forms import read_body
from gateway.identity.server.registered_clients import RegisteredClients, Registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from gateway.identity.brute_force import BruteForceGuard

MAX_REDIRECT_URIS = 16
_MAX_TEXT = 256
_SECRET_BYTES = 32
# RFC 7591 section 2: an authorization code client with a secret, unless it says otherwise.
_DEFAULT_GRANTS = (AUTHORIZATION_CODE,)
# What a client may say about itself that is kept and told, but not acted upon.
_TEXTS = ("client_name", "client_uri", "policy_uri", "tos_uri", "software_id", "software_version")
_KEY_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg")
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ISSUED = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


class MetadataError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A registration that cannot be accepted (RFC 7591 section 3.2.2)."""

    error = "invalid_client_metadata"


class RedirectURIError(MetadataError):
    """A redirect URI that cannot be accepted."""

    error = "invalid_redirect_uri"


class TokenError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The initial or the management token is missing or wrong (RFC 6750 section 3.1)."""

    error = "invalid_token"

    def __init__(self) -> None:
        super().__init__("the token is missing or not valid", status_code=401)

    def get_headers(self) -> list[tuple[str, str]]:
        challenge = 'Bearer realm="portico", error="invalid_token"'
        return [*super().get_headers(), ("WWW-Authenticate", challenge)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPolicy:
    """What whoever registers may get: `initial_hash` is that of the token needed for it."""

    initial_hash: str
    scopes: frozenset[str]
    grant_types: frozenset[str]
    plan: str = ""


class RegistrationEndpoint:
    """The registration endpoint and, below it, the one of each client."""

    def __init__(
        self,
        policy: RegistrationPolicy,
        registered: RegisteredClients,
        guard: BruteForceGuard,
        issuer: str,
        clock: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._registered = registered
        self._guard = guard
        self._issuer = issuer
        self._clock = clock

    async def register(self, request: Request) -> Response:
        """Answer `POST /oauth2/register`."""
        return await present(lambda: self._register(request))

    async def manage(self, request: Request) -> Response:
        """Answer GET, PUT and DELETE below it."""
        return await present(lambda: self._manage(request))

    async def _register(self, request: Request) -> Response:
        self._hold_off(request)
        presented = _bearer(request)
        if not compare_digest(_hashed(presented), self._policy.initial_hash):
            raise self._rejected(request)
        metadata = await _metadata(request)
        secret, management = _new_secret(), _new_secret()
        record, kept = self._read(metadata, f"reg-{secrets.token_hex(12)}", (hash_secret(secret),))
        registration = Registration(
            record=record, management_hash=_hashed(management), metadata=kept
        )
        await self._registered.add(registration)
        shown = secret if record.secret_hashes else ""
        return as_json(201, self._described(registration, secret=shown, token=management), {})

    async def _manage(self, request: Request) -> Response:
        self._hold_off(request)
        presented = _bearer(request)
        registration = await self._registered.read(str(request.path_params["client_id"]))
        expected = "" if registration is None else registration.management_hash
        # A client that is not there and a token that is wrong look the same.
        if not compare_digest(_hashed(presented), expected or _hashed(_new_secret())):
            raise self._rejected(request)
        if registration is None:
            raise self._rejected(request)
        if request.method == "DELETE":
            await self._registered.remove(registration.record.client_id)
            return Response(status_code=204, headers=NO_STORE)
        if request.method == "PUT":
            registration = await self._update(request, registration)
        return as_json(200, self._described(registration, token=presented), {})

    async def _update(self, request: Request, before: Registration) -> Registration:
        metadata = await _metadata(request)
        client_id = before.record.client_id
        if metadata.get("client_id") != client_id or any(name in metadata for name in _ISSUED):
            raise InvalidRequestError("send client_id and none of the members that were issued")
        secret = metadata.pop("client_secret", None)
        hashes = before.record.secret_hashes
        if secret is not None and not _is_among(secret, hashes):
            raise InvalidRequestError("client_secret is not the current one")
        record, kept = self._read(metadata, client_id, hashes or (hash_secret(_new_secret()),))
        record = replace(record, registered_at=before.record.registered_at)
        if record.secret_hashes and not hashes:
            raise MetadataError("a client without a secret cannot change to one with a secret")
        after = replace(before, record=record, metadata=kept)
        if not await self._registered.replace(before, after):
            raise InvalidRequestError("the client was changed at the same time", status_code=409)
        return after

    def _read(
        self, metadata: Mapping[str, Any], client_id: str, hashes: tuple[str, ...]
    ) -> tuple[ClientRecord, dict[str, Any]]:
        """Return the client that metadata describe, and the metadata as they were understood."""
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
        kept["response_types"] = ["code"] if AUTHORIZATION_CODE in kept["grant_types"] else []
        if "jwks" in metadata:
            kept["jwks"] = _key_set(metadata["jwks"])
        try:
            record = self._record(kept, client_id, hashes if method in SECRET_METHODS else ())
        except ClientRecordError as error:
            raise MetadataError(str(error).partition(client_id)[2].strip() or "unusable") from None
        return record, kept

    def _record(
        self, kept: Mapping[str, Any], client_id: str, hashes: tuple[str, ...]
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
            plan=self._policy.plan,
            registered_at=int(self._clock()),
        )

    def _grants(self, metadata: Mapping[str, Any]) -> list[str]:
        grants = _texts(metadata, "grant_types") or list(_DEFAULT_GRANTS)
        if not set(grants) <= self._policy.grant_types:
            raise MetadataError("a grant type is not offered to clients that register")
        responses = _texts(metadata, "response_types")
        if responses not in ([], ["code"]):
            raise MetadataError("the response type is code")
        if REFRESH_TOKEN in grants and AUTHORIZATION_CODE not in grants:
            raise MetadataError("refresh_token needs authorization_code")
        return grants

    def _scope(self, metadata: Mapping[str, Any]) -> str:
        asked = _text(metadata, "scope").split()
        if not set(asked) <= self._policy.scopes:
            raise MetadataError("a scope is not offered to clients that register")
        return " ".join(dict.fromkeys(asked) if asked else sorted(self._policy.scopes))

    def _described(
        self, registration: Registration, *, token: str, secret: str = ""
    ) -> dict[str, Any]:
        record = registration.record
        document: dict[str, Any] = {
            "client_id": record.client_id,
            "client_id_issued_at": record.registered_at,
            **registration.metadata,
            "registration_client_uri": f"{self._issuer}{REGISTER_PATH}/{record.client_id}",
            "registration_access_token": token,
        }
        if secret:
            document["client_secret"] = secret
        if record.secret_hashes:
            document["client_secret_expires_at"] = record.secret_expires_at
        return document

    def _hold_off(self, request: Request) -> None:
        wait_seconds = self._guard.address_wait_seconds(_address(request))
        if wait_seconds:
            raise too_many_attempts(wait_seconds)

    def _rejected(self, request: Request) -> TokenError:
        self._guard.failed("", _address(request))
        return TokenError()


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _metadata(request: Request) -> dict[str, Any]:
    body = await read_body(request)
    try:
        return read_object(body)
    except ValueError:
        raise MetadataError("the body is not one JSON object") from None


def _bearer(request: Request) -> str:
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _text(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name, "")
    if not isinstance(value, str) or len(value) > _MAX_TEXT * 4 or not value.isprintable():
        raise MetadataError(f"{name} is not a text of one line")
    if name == "client_name" and len(value) > _MAX_TEXT:
        raise MetadataError("client_name is too long")
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


def _is_among(secret: object, hashes: tuple[str, ...]) -> bool:
    digest = f"sha256:{sha256(str(secret).encode(errors='replace')).hexdigest()}"
    return any(compare_digest(digest, known) for known in hashes)


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _hashed(token: str) -> str:
    return sha256(token.encode()).hexdigest()

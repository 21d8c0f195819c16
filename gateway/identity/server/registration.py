"""Dynamic registration: clients that introduce themselves (RFC 7591) and change (RFC 7592).

Registering needs the initial token of the configuration, and each client gets a token of its own to
manage itself with.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error
from starlette.responses import Response

from gateway.identity.clients import hash_secret
from gateway.identity.issuer import REGISTER_PATH
from gateway.identity.json_object import read_object
from gateway.identity.server.client_metadata import MetadataError, RegistrationPolicy
from gateway.identity.server.endpoint import NO_STORE, as_json, present
from gateway.identity.server.errors import too_many_attempts
from gateway.identity.server.forms import read_body
from gateway.identity.server.registered_clients import RegisteredClients, Registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from gateway.identity.brute_force import BruteForceGuard

_SECRET_BYTES = 32
_ISSUED = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


class TokenError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The initial or the management token is missing or wrong (RFC 6750 section 3.1)."""

    error = "invalid_token"

    def __init__(self) -> None:
        super().__init__("the token is missing or not valid", status_code=401)

    def get_headers(self) -> list[tuple[str, str]]:
        challenge = 'Bearer realm="portico", error="invalid_token"'
        return [*super().get_headers(), ("WWW-Authenticate", challenge)]


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
        client_id, now = f"reg-{secrets.token_hex(12)}", int(self._clock())
        record, kept = self._policy.read(metadata, client_id, (hash_secret(secret),), now)
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
        record, kept = self._policy.read(
            metadata,
            client_id,
            hashes or (hash_secret(_new_secret()),),
            before.record.registered_at,
        )
        if record.secret_hashes and not hashes:
            raise MetadataError("a client without a secret cannot change to one with a secret")
        after = replace(before, record=record, metadata=kept)
        if not await self._registered.replace(before, after):
            raise InvalidRequestError("the client was changed at the same time", status_code=409)
        return after

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


def _is_among(secret: object, hashes: tuple[str, ...]) -> bool:
    digest = f"sha256:{sha256(str(secret).encode(errors='replace')).hexdigest()}"
    return any(compare_digest(digest, known) for known in hashes)


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _hashed(token: str) -> str:
    return sha256(token.encode()).hexdigest()

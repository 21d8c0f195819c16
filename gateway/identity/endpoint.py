"""The token endpoint and the documents that describe the issuer, as Starlette routes.

Errors of the token endpoint have the form that RFC 6749 section 5.2 prescribes and OAuth
clients understand, not that of RFC 9457.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, OAuth2Error
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.identity.brute_force import BruteForceGuard
from gateway.identity.credentials import Credentials, read_credentials, read_form
from gateway.identity.grant import CLIENT_AUTH_METHODS, GRANT_TYPE, ClientCredentialsServer
from gateway.identity.issuer import JWKS_PATH, TOKEN_PATH, metadata_path

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import Receive, Scope, Send

    from gateway.identity.clients import ClientSource
    from gateway.identity.keys import KeyRing
    from gateway.identity.tokens import TokenIssuer

MAX_BODY_BYTES = 8 * 1024
BODY_TIMEOUT_SECONDS = 10.0

# Verifiers may keep the keys this long, so a new key is published longer before it signs.
_DOCUMENT_HEADERS = {"cache-control": "public, max-age=300"}
# OPTIONS is for the middleware: some clients send headers that need a preflight.
_DOCUMENT_METHODS = ["GET", "OPTIONS"]
# These endpoints use no cookies, so any page may call them with credentials of its own.
_CORS = Middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_methods=["GET", "POST"],
    allow_headers=["*"],
)


class TooManyAttemptsError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """Too many failures came from the address or for the client."""

    error = "temporarily_unavailable"
    status_code = 429

    def __init__(self, wait_seconds: int) -> None:
        super().__init__("too many failed attempts, wait before the next")
        self._wait_seconds = wait_seconds

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("Retry-After", str(self._wait_seconds))]


class TokenEndpoint:
    """`POST /oauth2/token` as an ASGI application: fetch, run the grant, count failures."""

    def __init__(
        self,
        server: ClientCredentialsServer,
        clients: ClientSource,
        guard: BruteForceGuard | None = None,
        *,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
    ) -> None:
        self._server = server
        self._clients = clients
        self._guard = guard or BruteForceGuard()
        self._body_timeout_seconds = body_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except OAuth2Error as error:
            # The rest of a body that is too large or too slow is not waited for.
            rest = {"Connection": "close"} if error.status_code in {408, 413} else {}
            response = self._server.refuse(error, **rest)
        except ClientDisconnect:
            return  # nobody is left to answer
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method != "POST":
            error = InvalidRequestError("the token endpoint takes POST only", status_code=405)
            return self._server.refuse(error, Allow="POST, OPTIONS")
        address = request.client.host if request.client else ""
        # Before the body is read: a blocked address costs as little as possible.
        _hold_off(self._guard.address_wait_seconds(address))
        if request.url.query:
            # Where credentials would end up in logs (RFC 6749 section 2.3.1).
            raise InvalidRequestError("parameters belong in the form, not in the address")
        body = await _bounded_body(request, self._body_timeout_seconds)
        form = read_form(request.headers.get("content-type", ""), body)
        return await self._authenticate(request, form, address)

    async def _authenticate(
        self, request: Request, form: dict[str, list[str]], address: str
    ) -> Response:
        # Again after the body: many requests may have waited for theirs at the same time.
        _hold_off(self._guard.address_wait_seconds(address))
        try:
            credentials = read_credentials(_authorization(request), form)
        except InvalidClientError:
            self._guard.failed("", address)
            raise
        _hold_off(self._guard.client_wait_seconds(credentials.client_id, address))
        record = await self._clients.find(credentials.client_id)
        response = self._server.respond(form, credentials, record)
        self._count(credentials, address, response)
        return response

    def _count(self, credentials: Credentials, address: str, response: Response) -> None:
        if response.status_code == 401:
            self._guard.failed(credentials.client_id, address)
        elif response.status_code == 200:
            self._guard.succeeded(credentials.client_id, address)


def routes(
    endpoint: TokenEndpoint,
    *,
    issuer: TokenIssuer,
    keys: KeyRing,
    scopes_supported: Collection[str],
) -> list[Route]:
    """Return the routes of the issuer: token endpoint, keys and metadata."""
    document = metadata(issuer, scopes_supported)

    async def jwks(_: Request) -> Response:
        return JSONResponse(
            dict(keys.public_document()),
            headers=_DOCUMENT_HEADERS,
            media_type="application/jwk-set+json",
        )

    async def describe(_: Request) -> Response:
        return JSONResponse(document, headers=_DOCUMENT_HEADERS)

    return [
        Route(TOKEN_PATH, endpoint, name="token", middleware=[_CORS]),
        Route(JWKS_PATH, jwks, methods=_DOCUMENT_METHODS, middleware=[_CORS]),
        Route(
            metadata_path(issuer.issuer), describe, methods=_DOCUMENT_METHODS, middleware=[_CORS]
        ),
    ]


def metadata(issuer: TokenIssuer, scopes_supported: Collection[str]) -> dict[str, object]:
    """Return the RFC 8414 metadata: only what there is."""
    document: dict[str, object] = {
        "issuer": issuer.issuer,
        "token_endpoint": issuer.issuer + TOKEN_PATH,
        "jwks_uri": issuer.issuer + JWKS_PATH,
        # Required even where it is empty: there is no authorization endpoint yet.
        "response_types_supported": [],
        "grant_types_supported": [GRANT_TYPE],
        "token_endpoint_auth_methods_supported": list(CLIENT_AUTH_METHODS),
    }
    if scopes_supported:
        document["scopes_supported"] = sorted(scopes_supported)
    return document


def _hold_off(wait_seconds: int) -> None:
    if wait_seconds:
        raise TooManyAttemptsError(wait_seconds)


def _authorization(request: Request) -> list[bytes]:
    return [value for name, value in request.headers.raw if name == b"authorization"]


async def _bounded_body(request: Request, timeout_seconds: float) -> bytes:
    too_large = InvalidRequestError(
        f"the form is larger than {MAX_BODY_BYTES} bytes", status_code=413
    )
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise InvalidRequestError("the form arrived too slowly", status_code=408) from error
    return bytes(body)

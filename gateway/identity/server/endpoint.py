"""The shape of endpoints that clients call: a form from an authenticated client, JSON back.

Their errors have the form that RFC 6749 section 5.2 prescribes and OAuth clients understand, not
that of RFC 9457.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from gateway.identity.challenge import quoted
from gateway.identity.server.client_authentication import AuthenticatedClient, ClientAuthenticator
from gateway.identity.server.errors import plain_description, store_unavailable
from gateway.identity.server.forms import BODY_TIMEOUT_SECONDS, Form, read_body, read_form
from portico.redis.errors import RedisFailure, RedisRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

logger = logging.getLogger("portico.identity")

NO_STORE = {"cache-control": "no-store"}
# These endpoints use no cookies, so any page may call them with credentials of its own.
ANY_ORIGIN = Middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_methods=["GET", "POST", "PUT", "DELETE"],
    allow_headers=["*"],
    expose_headers=["dpop-nonce", "retry-after", "www-authenticate"],
)
_REALM = f'Basic realm={quoted("portico")}, charset="UTF-8"'


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """What an authenticated client sent."""

    client: AuthenticatedClient
    form: Form
    http: Request


class ClientEndpoint:
    """One endpoint as an ASGI application: read, authenticate, respond."""

    def __init__(
        self,
        authenticator: ClientAuthenticator,
        respond: Callable[[ClientRequest], Awaitable[Response]],
        *,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
    ) -> None:
        self._authenticator = authenticator
        self._respond = respond
        self._body_timeout_seconds = body_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await answered(lambda: self._answer(request))
        except ClientDisconnect:
            return  # nobody is left to answer
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            error = InvalidRequestError("the endpoint takes POST only", status_code=405)
            return refusal(error, Allow="POST, OPTIONS")
        address = request.client.host if request.client else ""
        # Before the body is read: a blocked address costs as little as possible.
        self._authenticator.hold_off(address)
        if request.url.query:
            # Where credentials would end up in logs (RFC 6749 section 2.3.1).
            raise InvalidRequestError("parameters belong in the form, not in the address")
        body = await read_body(request, timeout_seconds=self._body_timeout_seconds)
        form = read_form(request.headers.get("content-type", ""), body)
        client = await self._authenticator.authenticate(request, form, address)
        return await self._respond(ClientRequest(client=client, form=form, http=request))


async def answered(answer: Callable[[], Awaitable[Response]]) -> Response:
    """Return the answer, also where that is an error."""
    try:
        return await answer()
    except OAuth2Error as error:
        # The rest of a body that is too large or too slow is not waited for.
        rest = {"Connection": "close"} if error.status_code in {408, 413} else {}
        return refusal(error, **rest)
    except RedisFailure as failure:
        # The client tells of an outage once; a refusal is a mistake that nobody else tells of.
        level = logging.ERROR if isinstance(failure, RedisRefused) else logging.DEBUG
        logger.log(level, "identity store: %s", failure)
        return refusal(store_unavailable())


async def present(answer: Callable[[], Awaitable[Response]]) -> Response:
    """Return the answer as a route does, which has to return one to nobody as well."""
    try:
        return await answered(answer)
    except ClientDisconnect:
        return Response(status_code=400)


def refusal(error: OAuth2Error, **headers: str) -> Response:
    """Return the answer to an error."""
    body = {"error": error.error, "error_description": plain_description(error)}
    return as_json(error.status_code, body, {**dict(error.get_headers()), **headers})


def as_json(status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> Response:
    """Return an answer that nobody keeps."""
    fields = {name.lower(): value for name, value in headers.items()} | NO_STORE
    # JSONResponse has its own.
    fields.pop("content-type", None)
    if status == 401 and not fields.get("www-authenticate", "").startswith("Bearer"):
        # Authlib's own challenge lacks the realm that RFC 7617 requires.
        fields["www-authenticate"] = _REALM
    return JSONResponse(dict(body), status, fields)

"""Authorization requests: checked by Authlib's grant, pushed ahead (RFC 9126), and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from authlib.oauth2.rfc6749.errors import (
    AccessDeniedError,
    InvalidRequestError,
    OAuth2Error,
    UnauthorizedClientError,
)

from gateway.identity.clients import AUTHORIZATION_CODE
from gateway.identity.issuer import AUTHORIZE_PATH
from gateway.identity.server.endpoint import ClientRequest, as_json
from gateway.identity.server.errors import (
    InvalidRequestURIError,
    plain_description,
    too_many_requests,
)
from gateway.identity.server.forms import Form, first
from gateway.identity.server.grant_server import GrantRequest, GrantServer
from gateway.identity.server.grants import AuthorizationCode, S256Challenge
from gateway.identity.server.transient import Kind
from portico.limits.address import AddressLimit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gateway.identity.clients import ClientRecord
    from gateway.identity.server.issuance import Issuance
    from gateway.identity.server.state import ServerState

PUSHED_SECONDS = 90
# What is kept for a person who may never come back; a signed state has a few hundred characters.
MAX_CHARACTERS = 8 * 1024
# Requests that one address may begin: each is kept for minutes, whoever it is from.
BEGUN_PER_ADDRESS = "120/minute"
# Eleven days; who signed in longer ago is not signed in any more.
_MAX_AGE_DIGITS = 6
URN = "urn:ietf:params:oauth:request_uri:"

# What may be part of an authorization request; how the client proved itself is not.
_PARAMETERS = frozenset(
    {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "resource",
        "response_mode",
        "max_age",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person who signed in: whom codes are for.

    `user` is their name in the configuration, and `stamp` that of their password.
    """

    subject: str
    name: str
    authenticated_at: int
    user: str = ""
    stamp: str = ""
    # What was allowed ends then, however often it is refreshed.
    expires_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A checked authorization request: who asks for what, and where the answer goes."""

    client: ClientRecord
    form: Form
    redirect_uri: str
    scopes: tuple[str, ...]
    # How long ago the person may have signed in (RFC 9470 section 4), None for any time.
    max_age_seconds: int | None = None


class AuthorizationRequests:
    """Checks requests and answers them. Every answer names the issuer (RFC 9207)."""

    def __init__(
        self,
        issuance: Issuance,
        scopes: Sequence[str],
        state: ServerState,
        begun_per_address: str = BEGUN_PER_ADDRESS,
    ) -> None:
        self._issuance = issuance
        self._scopes = sorted(scopes)
        self._state = state
        self._begun = AddressLimit(begun_per_address)

    def begin(self, request: Request) -> None:
        """Count a request by its address. Raises OAuth2Error with 429 for one too many."""
        wait_ns = self._begun.wait_ns(request.client.host if request.client else "")
        if wait_ns:
            raise too_many_requests(-(-wait_ns // 10**9))

    async def push(self, request: ClientRequest) -> Response:
        """Keep a request for the browser to come with. Raises OAuth2Error."""
        self.begin(request.http)
        if "request_uri" in request.form:
            raise InvalidRequestError("request_uri cannot be part of what is pushed")
        form = {name: values for name, values in request.form.items() if name in _PARAMETERS}
        form["client_id"] = [request.client.record.client_id]
        try:
            self.check(request.client.record, form)
        except OAuth2Error as error:
            # The client is told, not the browser.
            error.redirect_uri = None
            raise
        name = await self._state.records.put(
            Kind.PUSHED_REQUEST,
            {"client_id": request.client.record.client_id, "form": form},
            PUSHED_SECONDS,
        )
        return as_json(201, {"request_uri": URN + name, "expires_in": PUSHED_SECONDS}, {})

    async def resolve(self, client: ClientRecord, form: Form) -> Form:
        """Return the parameters, those that were pushed where a request_uri says so.

        Such a request is used once, and by its own client only.
        """
        if "request_uri" not in form:
            if client.pushed_requests_only:
                raise InvalidRequestError("this client has to push its authorization requests")
            return {name: values for name, values in form.items() if name in _PARAMETERS}
        name = first(form, "request_uri").removeprefix(URN)
        pushed = await self._state.records.take(Kind.PUSHED_REQUEST, name)
        if pushed is None or pushed["client_id"] != client.client_id:
            raise InvalidRequestURIError("the request_uri is unknown, used or of another client")
        found: Form = pushed["form"]
        return found

    def check(self, client: ClientRecord, form: Form) -> Asked:
        """Return what is asked for.

        Raises OAuth2Error, with a `redirect_uri` where the client may be told by redirect.
        """
        if sum(len(value) for values in form.values() for value in values) > MAX_CHARACTERS:
            raise InvalidRequestError("the request is too large")
        grant = self._grant(client, form)
        request: GrantRequest = grant.request
        try:
            self._issuance.audiences(request.resources)
            if first(form, "response_mode") not in {"", "query"}:
                raise InvalidRequestError("the response_mode is query")
            max_age_seconds = _max_age(form)
        except OAuth2Error as error:
            error.redirect_uri, error.state = grant.redirect_uri, request.payload.state
            raise
        return Asked(
            client=client,
            form=form,
            redirect_uri=grant.redirect_uri,
            scopes=tuple(request.scope.split()),
            max_age_seconds=max_age_seconds,
        )

    async def allow(self, asked: Asked, person: SignedIn, scopes: Sequence[str]) -> str:
        """Return the address to send the browser to, with a code for these scopes."""
        form = {**asked.form, "scope": [" ".join(scopes)]}
        grant = self._grant(asked.client, form)
        # An empty scope is not one that was left out: it does not become all there are.
        grant.request.scope = " ".join(scopes)
        _, _, headers = grant.create_authorization_response(grant.redirect_uri, person)
        name, family = grant.request.begun
        await self._state.families.begin(name, family)
        return self._with_issuer(dict(headers)["Location"])

    def deny(self, asked: Asked) -> str:
        """Return the address to send the browser to when the person refused."""
        error = AccessDeniedError("the request was refused", redirect_uri=asked.redirect_uri)
        error.state = first(asked.form, "state") or None
        return self.failure(error)

    def failure(self, error: OAuth2Error) -> str:
        """Return the address that tells a client of an error; it needs a `redirect_uri`."""
        members = {"error": error.error, "error_description": plain_description(error)}
        state = getattr(error, "state", None)
        if state:
            members["state"] = state
        return self._with_issuer(with_parameters(error.redirect_uri, members))

    def _grant(self, client: ClientRecord, form: Form) -> AuthorizationCode:
        server = GrantServer(client, self._issuance, self._state.handles, self._scopes)
        server.register_grant(AuthorizationCode, [S256Challenge(required=True)])
        uri = self._issuance.issuer.issuer + AUTHORIZE_PATH
        if AUTHORIZATION_CODE not in client.grant_types:
            raise UnauthorizedClientError("the client does not use authorization codes")
        grant: AuthorizationCode = server.get_consent_grant(GrantRequest(uri, form, client))
        return grant

    def _with_issuer(self, uri: str) -> str:
        return with_parameters(uri, {"iss": self._issuance.issuer.issuer})


def _max_age(form: Form) -> int | None:
    text = first(form, "max_age")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_AGE_DIGITS:
        raise InvalidRequestError("max_age is a number of seconds")
    return int(text)


def with_parameters(uri: str, members: Mapping[str, str]) -> str:
    """Return the URI with more parameters in its query."""
    parts = urlsplit(uri)
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *members.items()]
    # A URI without a host keeps the slashes it has: com.example.app:/done
    query = urlencode(pairs)
    if not parts.netloc:
        return f"{uri.partition('?')[0]}?{query}"
    return urlunsplit(parts._replace(query=query))

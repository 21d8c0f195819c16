"""The client credentials grant, run by Authlib on records that were fetched before.

Authlib's grants are synchronous and know no ASGI. So whoever answers a request awaits the
records first, runs the grant on them without waiting for anything, and writes what the grant
decided afterwards. Client credentials write nothing: their tokens are proven by signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientCredentialsGrant,
    ClientMixin,
    OAuth2Payload,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.errors import (
    InvalidRequestError,
    OAuth2Error,
    UnsupportedGrantTypeError,
)
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from starlette.responses import JSONResponse, Response

from gateway.identity.challenge import quoted
from gateway.identity.clients import ClientRecord, secret_matches
from gateway.identity.credentials import BASIC, POST, Credentials, rejected_client
from gateway.identity.issuer import TOKEN_PATH
from gateway.identity.tokens import SERVICE_LIFETIME_SECONDS, TokenIssuer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

CLIENT_AUTH_METHODS = (BASIC, POST)
GRANT_TYPE = "client_credentials"


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The resource asked for is not one that tokens are issued for (RFC 8707 section 2)."""

    error = "invalid_target"


class TokenRequest(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    """A token request as Authlib reads it, with the records it may need at hand."""

    def __init__(
        self,
        uri: str,
        *,
        form: Mapping[str, list[str]],
        credentials: Credentials,
        record: ClientRecord | None,
    ) -> None:
        super().__init__("POST", uri, headers={})
        self.payload = _FormPayload(form)
        self.credentials = credentials
        self.record = record


class ClientCredentialsServer(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's authorization server for the one grant there is, answering with Starlette."""

    def __init__(
        self, issuer: TokenIssuer, *, scopes_supported: Collection[str], realm: str = "portico"
    ) -> None:
        super().__init__(scopes_supported=sorted(scopes_supported))
        self._issuer = issuer
        self._basic = f'Basic realm={quoted(realm)}, charset="UTF-8"'
        self._token_uri = issuer.issuer + TOKEN_PATH
        generator = BearerTokenGenerator(self._mint, expires_generator=SERVICE_LIFETIME_SECONDS)
        self.register_token_generator("default", generator)
        self.register_grant(_ClientCredentials)

    def respond(
        self,
        form: Mapping[str, list[str]],
        credentials: Credentials,
        record: ClientRecord | None,
    ) -> Response:
        """Run the grant on the records and return its answer.

        Raises OAuth2Error for requests that Authlib would accept or misname.
        """
        if "grant_type" not in form:
            raise InvalidRequestError("grant_type is missing")
        if any(resource != self._issuer.audience for resource in form.get("resource", ())):
            raise InvalidTargetError("tokens are issued for this gateway only")
        request = TokenRequest(self._token_uri, form=form, credentials=credentials, record=record)
        response: Response = self.create_token_response(request)
        return response

    def refuse(self, error: OAuth2Error, **headers: str) -> Response:
        """Return the answer to an error that was found before the grant ran."""
        status, body, error_headers = error()
        return self.handle_response(status, body, [*error_headers, *headers.items()])

    def get_token_grant(self, request: TokenRequest) -> ClientCredentialsGrant:
        try:
            return super().get_token_grant(request)
        except UnsupportedGrantTypeError as error:
            # Authlib says nothing here, and what was asked for is better not quoted.
            error.description = f"the grant_type offered is {GRANT_TYPE}"
            raise

    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        return request

    def authenticate_client(
        self,
        request: TokenRequest,
        methods: Collection[str],
        endpoint: str = "token",  # noqa: ARG002 - Authlib's signature
    ) -> _Client:
        """Return the client if its secret is right; there is one answer if anything is not."""
        credentials = request.credentials
        matches = secret_matches(request.record, credentials.secret)
        if request.record is None or not matches or credentials.method not in methods:
            raise rejected_client()
        request.auth_method = credentials.method
        return _Client(request.record)

    def save_token(self, token: dict[str, object], request: TokenRequest) -> None:
        """Store nothing: the token carries all there is to know about it."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody: nothing listens to Authlib's signals."""

    def handle_response(
        self, status: int, body: dict[str, Any], headers: Sequence[tuple[str, str]]
    ) -> Response:
        fields = dict(headers)
        if status == 401:
            # Authlib's own challenge lacks the realm that RFC 7617 requires.
            fields["WWW-Authenticate"] = self._basic
        return JSONResponse(body, status, fields)

    def _mint(self, client: _Client, scope: str, **_: object) -> str:
        record = client.record
        return self._issuer.mint(
            record.subject or record.client_id,
            record.client_id,
            self._issuer.audience,
            scope.split(),
            SERVICE_LIFETIME_SECONDS,
        )


class _ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS

    def create_token_response(self) -> tuple[int, dict[str, object], list[tuple[str, str]]]:
        # Authlib's own method writes the token to the debug log.
        token = self.generate_token(scope=self.request.payload.scope, include_refresh_token=False)
        return 200, token, self.TOKEN_RESPONSE_HEADER


class _Client(ClientMixin):  # type: ignore[misc]  # Authlib ships no types
    """An authenticated client, as Authlib's grants and generators ask about it."""

    def __init__(self, record: ClientRecord) -> None:
        self.record = record

    def get_client_id(self) -> str:
        return self.record.client_id

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == GRANT_TYPE

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return the scopes to grant: all if none are named, None if one is not allowed."""
        if not scope:
            return " ".join(sorted(self.record.scopes))
        requested = dict.fromkeys(scope.split(" "))
        return " ".join(requested) if requested.keys() <= self.record.scopes else None


class _FormPayload(OAuth2Payload):  # type: ignore[misc]  # Authlib ships no types
    def __init__(self, form: Mapping[str, list[str]]) -> None:
        self._form = form

    @property
    def data(self) -> dict[str, str]:
        return {name: values[0] for name, values in self._form.items()}

    @property
    def datalist(self) -> Mapping[str, list[str]]:
        return self._form

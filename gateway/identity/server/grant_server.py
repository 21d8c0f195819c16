"""Authlib's authorization server, made for one request from the records that were fetched for it.

Nothing here waits. What a grant decides to write is left in the request for its caller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    OAuth2Payload,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.errors import OAuth2Error, UnsupportedResponseTypeError

from gateway.identity.clients import AUTHORIZATION_CODE
from gateway.identity.server.errors import rejected_client
from gateway.identity.server.forms import Form

if TYPE_CHECKING:
    from gateway.identity.clients import ClientRecord
    from gateway.identity.server.families import Family, Use
    from gateway.identity.server.handles import Handle, Handles
    from gateway.identity.server.issuance import Issuance
    from gateway.identity.server.own_tokens import OwnToken
    from gateway.identity.tokens import AccessToken

Answer = tuple[int, Any, Sequence[tuple[str, str]]]


class GrantRequest(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    """A request as Authlib's grants read it, with the records they may need at hand.

    `handle` and `family` belong to a code or refresh token that is genuine; `subject` and `actor`
    are tokens to exchange. `confirmation` is what tokens are to be bound to. A grant leaves here
    the access `token` it issued and its `use` in the family, or the family it has `begun`.
    """

    def __init__(
        self,
        uri: str,
        form: Form,
        client: ClientRecord | None,
        method: str = "",
        *,
        handle: Handle | None = None,
        family: Family | None = None,
        confirmation: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__("POST", uri, headers={})
        self.payload = _Payload(form)
        self.record = client
        self.auth_method = method
        self.handle = handle
        self.family = family
        self.confirmation = confirmation
        self.subject: OwnToken | None = None
        self.actor: OwnToken | None = None
        self.token: AccessToken | None = None
        self.use: Use | None = None
        self.begun: tuple[str, Family] | None = None

    def granted(self) -> tuple[Handle, Family, Use]:
        """Return what a grant decided about a code or refresh token."""
        if self.handle is None or self.family is None or self.use is None:
            raise RuntimeError("the grant has not run")
        return self.handle, self.family, self.use

    @property
    def form(self) -> Mapping[str, str]:
        form: Mapping[str, str] = self.payload.data
        return form

    @property
    def args(self) -> Mapping[str, str]:
        return self.form

    @property
    def resources(self) -> Sequence[str]:
        """Return the resource indicators (RFC 8707)."""
        found: Sequence[str] = self.payload.datalist.get("resource", ())
        return found


class GrantServer(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Runs one grant on one request. Its client has been authenticated before."""

    def __init__(
        self,
        client: ClientRecord | None,
        issuance: Issuance,
        handles: Handles | None,
        scopes_supported: Sequence[str],
    ) -> None:
        super().__init__(scopes_supported=scopes_supported)
        self._client = client
        self.issuance = issuance
        self.handles = handles

    def query_client(self, client_id: str) -> GrantClient | None:
        if self._client is None or self._client.client_id != client_id:
            return None
        return GrantClient(self._client)

    def get_authorization_grant(self, request: GrantRequest) -> Any:
        """Return the grant; what Authlib says of another response type quotes what was sent."""
        if request.payload.response_type != "code":
            raise UnsupportedResponseTypeError(None, redirect_uri=self._safe_redirect(request))
        return super().get_authorization_grant(request)

    def _safe_redirect(self, request: GrantRequest) -> str | None:
        if self._client is None:
            return None
        client, uri = GrantClient(self._client), request.payload.redirect_uri
        if uri is None:
            return client.get_default_redirect_uri()
        return str(uri) if client.check_redirect_uri(uri) else None

    def authenticate_client(
        self,
        request: GrantRequest,
        methods: Collection[str],
        endpoint: str = "token",  # noqa: ARG002 - Authlib's signature
    ) -> GrantClient:
        """Return the client, if the grant takes the method by which it proved itself."""
        if self._client is None or request.auth_method not in methods:
            raise rejected_client()
        return GrantClient(self._client)

    def create_oauth2_request(self, request: GrantRequest) -> GrantRequest:
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody: nothing listens to Authlib's signals."""

    def handle_response(
        self, status: int, body: object, headers: Sequence[tuple[str, str]]
    ) -> Answer:
        """Return the answer as it is; an endpoint makes the response."""
        return status, body, headers

    def handle_error_response(self, request: GrantRequest, error: OAuth2Error) -> Answer:
        """Raise the error: every error is answered in one place."""
        del request
        raise error


class GrantClient(ClientMixin):  # type: ignore[misc]  # Authlib ships no types
    """A client, as Authlib's grants ask about it."""

    def __init__(self, record: ClientRecord) -> None:
        self.record = record
        self.client_id = record.client_id

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """Return the only redirect URI; with several, the request has to say which."""
        uris = self.record.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return self.record.allows_redirect(redirect_uri)

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and AUTHORIZATION_CODE in self.record.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.record.grant_types

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return the scopes to grant: all if none are named, None if one is not allowed."""
        if not scope:
            return " ".join(sorted(self.record.scopes))
        requested = dict.fromkeys(scope.split(" "))
        return " ".join(requested) if requested.keys() <= self.record.scopes else None


class _Payload(OAuth2Payload):  # type: ignore[misc]  # Authlib ships no types
    def __init__(self, form: Form) -> None:
        self._form = form

    @property
    def data(self) -> dict[str, str]:
        return {name: values[0] for name, values in self._form.items()}

    @property
    def datalist(self) -> Form:
        return self._form

"""The grants of RFC 6749 as Authlib runs them, and what it leaves open.

Each writes its own token response: Authlib's writes the tokens to the debug log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
)
from authlib.oauth2.rfc7636 import CodeChallenge

from gateway.identity.clients import AUTH_METHODS, PUBLIC, REFRESH_TOKEN
from gateway.identity.server.errors import InvalidTargetError
from gateway.identity.server.families import Family, Stage, Use
from gateway.identity.server.issuance import Issuance
from gateway.identity.tokens import AccessToken

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gateway.identity.server.authorization import SignedIn
    from gateway.identity.server.grant_server import Answer, GrantClient, GrantRequest
    from gateway.identity.server.handles import Handles

ANY_METHOD = list(AUTH_METHODS)
PROVEN = [method for method in AUTH_METHODS if method != PUBLIC]


class S256Challenge(CodeChallenge):  # type: ignore[misc]  # Authlib ships no types
    """PKCE with S256, which every client has to use (OAuth 2.1 section 4.1.1)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 - as Authlib declares it

    def validate_code_challenge(self, grant: AuthorizationCode, redirect_uri: str) -> None:
        data = grant.request.payload.data
        # Absent means plain (RFC 7636 section 4.3), and plain is no protection.
        if data.get("code_challenge_method") != "S256" or len(data.get("code_challenge", "")) != 43:
            raise InvalidRequestError("a code_challenge of method S256 is required")
        super().validate_code_challenge(grant, redirect_uri)


class ClientCredentials(grants.ClientCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    """A client for itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = PROVEN

    def create_token_response(self) -> Answer:
        request, record = self.request, self.request.client.record
        scope = request.client.get_allowed_scope(request.payload.scope)
        if scope is None:
            raise InvalidScopeError
        audiences = self.server.issuance.audiences(request.resources)
        request.token = AccessToken(
            subject=record.subject or record.client_id,
            client_id=record.client_id,
            audiences=audiences,
            scopes=scope.split(),
            lifetime_seconds=self.server.issuance.lifetime_seconds(audiences),
            confirmation=request.confirmation,
        )
        answer = self.server.issuance.answer(request.token)
        return 200, answer, ()


class AuthorizationCode(grants.AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    """A person allows a client something, by way of the browser."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_METHOD

    @staticmethod
    def validate_authorization_redirect_uri(request: GrantRequest, client: GrantClient) -> str:
        """Return where the answer goes. Authlib's own method quotes an address it refuses."""
        uri: str | None = request.payload.redirect_uri
        if uri is None:
            uri = client.get_default_redirect_uri()
        if uri is None or not client.check_redirect_uri(uri):
            raise InvalidRequestError("the redirect_uri is missing or not one of the client's")
        return uri

    def generate_authorization_code(self) -> str:
        handles: Handles = self.server.handles
        self._name = handles.new_family()
        return handles.code(self._name)

    def save_authorization_code(self, code: str, request: GrantRequest) -> None:
        """Leave the new family in the request; its code is derived from its name."""
        del code
        data = request.payload.data
        user: SignedIn = request.user
        request.begun = (
            self._name,
            Family(
                client_id=request.client.client_id,
                subject=user.subject,
                scopes=tuple(request.scope.split()),
                resources=self.server.issuance.audiences(request.resources),
                # Empty where the request left it out: then the token request may too.
                redirect_uri=data.get("redirect_uri", ""),
                code_challenge=data["code_challenge"],
                authenticated_at=user.authenticated_at,
                expires_at=user.expires_at,
                refreshes=REFRESH_TOKEN in request.client.record.grant_types,
                user=user.user,
                user_stamp=user.stamp,
            ),
        )

    def query_authorization_code(self, code: str, client: GrantClient) -> _Code | None:
        """Return the code that was fetched, also one that was used: that is found out later."""
        del code
        family = self.request.family
        if family is None or family.client_id != client.client_id:
            return None
        return _Code(family, self.request.form.get("redirect_uri", ""))

    def create_token_response(self) -> Answer:
        family: Family = self.request.authorization_code.family
        handle = self.request.handle
        token, answer = _from_family(self, family, family.scopes)
        if family.refreshes and handle is not None:
            answer["refresh_token"] = self.server.handles.refresh_token(handle.family, 0)
        self.request.token = token
        return 200, answer, ()


class _Code:
    """An authorization code, as Authlib's grant and its PKCE extension ask about it."""

    code_challenge_method = "S256"

    def __init__(self, family: Family, presented_uri: str) -> None:
        self.family = family
        self.code_challenge = family.code_challenge
        self._presented_uri = presented_uri

    def get_redirect_uri(self) -> str:
        """Return what must be presented; OAuth 2.1 lets it be absent (section 10.2)."""
        return self.family.redirect_uri if self._presented_uri else ""

    def get_scope(self) -> str:
        return " ".join(self.family.scopes)


class RefreshToken(grants.RefreshTokenGrant):  # type: ignore[misc]  # Authlib ships no types
    """What a person allowed, for longer than one access token."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_METHOD

    def authenticate_refresh_token(self, refresh_token: str) -> _Refreshing | None:
        """Return the token that was fetched, also one that was rotated: that is found out later."""
        del refresh_token
        family = self.request.family
        if family is None or family.stage is Stage.CODE or not family.refreshes:
            return None
        return _Refreshing(family)

    def create_token_response(self) -> Answer:
        family: Family = self.request.refresh_token.family
        handle = self.request.handle
        scope = self.request.payload.scope
        scopes = tuple(dict.fromkeys(scope.split())) if scope else family.scopes
        token, answer = _from_family(self, family, scopes)
        if handle is not None:
            following = handle.generation + 1
            answer["refresh_token"] = self.server.handles.refresh_token(handle.family, following)
        self.request.token = token
        return 200, answer, ()


class _Refreshing:
    """A refresh token, as Authlib's grant asks about it."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def check_client(self, client: GrantClient) -> bool:
        return self.family.client_id == client.client_id

    def get_scope(self) -> str:
        return " ".join(self.family.scopes)


def _from_family(
    grant: AuthorizationCode | RefreshToken, family: Family, scopes: Collection[str]
) -> tuple[AccessToken, dict[str, object]]:
    """Return the access token for what a person allowed, and the answer that carries it."""
    request: GrantRequest = grant.request
    issuance: Issuance = grant.server.issuance
    now = int(issuance.issuer.now())
    record = request.client.record
    # What the client lost since the person consented is lost to its tokens as well.
    allowed = [scope for scope in scopes if scope in record.scopes]
    audiences = _narrowed(issuance, request.resources, family.resources)
    lifetime_seconds = min(issuance.lifetime_seconds(audiences), family.expires_at - now)
    if lifetime_seconds <= 0:
        raise InvalidGrantError("what was allowed has ended")
    token = AccessToken(
        subject=family.subject,
        client_id=family.client_id,
        audiences=audiences,
        scopes=allowed,
        lifetime_seconds=lifetime_seconds,
        confirmation=request.confirmation,
        authenticated_at=family.authenticated_at,
    )
    request.use = Use(token_id=token.token_id, expires_at=now + lifetime_seconds)
    return token, issuance.answer(token)


def _narrowed(
    issuance: Issuance, asked: Sequence[str], allowed: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the resources of one token: some of those that were allowed, or all."""
    if allowed == (issuance.issuer.audience,):
        # The gateway as a whole was allowed, and each resource is a part of it.
        return issuance.audiences(asked)
    if not set(asked) <= set(allowed):
        raise InvalidTargetError("a resource is not among those that were allowed")
    return tuple(dict.fromkeys(asked)) or allowed

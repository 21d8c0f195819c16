"""Token exchange (RFC 8693): one token for another, for whom the first one is about.

A service calls the next one for the person who called it; a partner acts for its customer. The new
token says who acts (`act`), for how long at most the first one would have lasted, and never more
than the first one and the client may do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin
from authlib.oauth2.rfc6749.errors import (
    InvalidRequestError,
    InvalidScopeError,
    UnauthorizedClientError,
)

from gateway.identity.clients import TOKEN_EXCHANGE
from gateway.identity.server.errors import InvalidTargetError
from gateway.identity.server.grants import PROVEN
from gateway.identity.server.issuance import ACCESS_TOKEN_TYPE
from gateway.identity.tokens import AccessToken

if TYPE_CHECKING:
    from gateway.identity.server.grant_server import Answer, GrantRequest
    from gateway.identity.server.issuance import Issuance
    from gateway.identity.server.own_tokens import OwnToken

_JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
_TOKEN_TYPES = frozenset({ACCESS_TOKEN_TYPE, _JWT_TYPE})
# A chain that is longer is a loop.
_MAX_ACTORS = 8


class TokenExchange(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib ships no types
    """The grant; `subject` and `actor` are the tokens presented, if they are good ones."""

    GRANT_TYPE = TOKEN_EXCHANGE
    TOKEN_ENDPOINT_AUTH_METHODS = PROVEN

    def validate_token_request(self) -> None:
        """Check what is asked for. Raises OAuth2Error."""
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(TOKEN_EXCHANGE):
            raise UnauthorizedClientError("the client may not exchange tokens")
        request: GrantRequest = self.request
        request.client = client
        form = request.form
        requested = form.get("requested_token_type", ACCESS_TOKEN_TYPE)
        if requested not in _TOKEN_TYPES:
            raise InvalidRequestError("requested_token_type is not one that is issued here")
        _check_type(form, "subject_token", required=True)
        _check_type(form, "actor_token", required=False)
        if request.subject is None:
            raise InvalidRequestError("subject_token is not a valid access token of this issuer")
        if "actor_token" in form and request.actor is None:
            raise InvalidRequestError("actor_token is not a valid access token of this issuer")
        _check_delegation(request, client.client_id)

    def create_token_response(self) -> Answer:
        request: GrantRequest = self.request
        subject, record = request.subject, request.client.record
        if subject is None:
            raise InvalidRequestError("subject_token is missing")
        issuance = self.server.issuance
        audiences = issuance.exchange_audiences(
            record, request.resources, request.payload.datalist.get("audience", ())
        )
        _check_audiences(subject, audiences, issuance)
        left_seconds = int(subject.expires_at - issuance.issuer.now())
        lifetime_seconds = min(issuance.lifetime_seconds(audiences), left_seconds)
        if lifetime_seconds <= 0:
            raise InvalidRequestError("subject_token is about to expire")
        request.token = AccessToken(
            subject=subject.subject,
            client_id=record.client_id,
            audiences=audiences,
            scopes=_scopes(request, subject),
            lifetime_seconds=lifetime_seconds,
            actor=_actor(request, subject),
            confirmation=request.confirmation,
            authenticated_at=subject.authenticated_at,
        )
        answer = issuance.answer(request.token)
        return 200, {**answer, "issued_token_type": ACCESS_TOKEN_TYPE}, ()


def _check_type(form: Mapping[str, str], name: str, *, required: bool) -> None:
    if name not in form:
        if required or f"{name}_type" in form:
            raise InvalidRequestError(f"{name} is missing")
        return
    if form.get(f"{name}_type") not in _TOKEN_TYPES:
        raise InvalidRequestError(f"{name}_type is missing or not one that is accepted here")


def _check_delegation(request: GrantRequest, client_id: str) -> None:
    """Check whom the subject lets act for it, where its token says so (RFC 8693 section 4.4)."""
    subject, actor = request.subject, request.actor
    allowed = None if subject is None else subject.may_act
    if allowed is None:
        return
    acting = {client_id} if actor is None else {actor.subject}
    if allowed not in acting:
        raise InvalidTargetError("the subject lets somebody else act for it")


def _check_audiences(subject: OwnToken, audiences: Sequence[str], issuance: Issuance) -> None:
    """Check that a token for one resource does not become one for another."""
    if issuance.issuer.audience in subject.audiences:
        return
    for audience in audiences:
        if issuance.is_at_the_edge(audience) and audience not in subject.audiences:
            raise InvalidTargetError("subject_token is not for that resource")


def _scopes(request: GrantRequest, subject: OwnToken) -> tuple[str, ...]:
    """Return what both the first token and the client may do, or what is asked of that."""
    both = subject.scopes & request.client.record.scopes
    asked = request.payload.scope
    if not asked:
        return tuple(sorted(both))
    scopes = tuple(dict.fromkeys(asked.split(" ")))
    if not set(scopes) <= both:
        raise InvalidScopeError("a scope is not one that both the token and the client have")
    return scopes


def _actor(request: GrantRequest, subject: OwnToken) -> Mapping[str, object]:
    """Return who acts, and below that who acted before (RFC 8693 section 4.1)."""
    chain: dict[str, object] = {}
    if request.actor is not None:
        chain["sub"] = request.actor.subject
        chain["client_id"] = request.actor.client_id
    else:
        chain["sub"] = request.client.client_id
    if subject.actor is not None:
        chain["act"] = dict(subject.actor)
    depth, node = 0, chain
    while isinstance(node.get("act"), dict):
        depth, node = depth + 1, node["act"]  # type: ignore[assignment]  # it is one
    if depth >= _MAX_ACTORS:
        raise InvalidRequestError("too many have acted for the subject already")
    return chain

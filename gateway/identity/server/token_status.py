"""Introspection (RFC 7662) and revocation (RFC 7009): asking about tokens and ending them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidRequestError,
)

from gateway.identity.clients import PUBLIC
from gateway.identity.server.endpoint import ClientRequest, as_json
from gateway.identity.server.errors import UnsupportedTypeError, rejected_client, store_unavailable
from gateway.identity.server.families import Family, Stage
from gateway.identity.server.forms import first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from gateway.identity.clients import ClientRecord
    from gateway.identity.server.handles import Handle
    from gateway.identity.server.own_tokens import OwnToken, OwnTokens
    from gateway.identity.server.state import ServerState

_HINTS = frozenset({"access_token", "refresh_token"})
# Everything else of an introspection is a claim of the token itself.
_TOLD = ("iss", "sub", "aud", "client_id", "scope", "exp", "iat", "jti", "act", "cnf", "auth_time")
_INACTIVE: Mapping[str, object] = {"active": False}


class TokenStatus:
    """What is known of tokens, for the clients they are of."""

    def __init__(self, own_tokens: OwnTokens, state: ServerState | None, issuer: str) -> None:
        self._own_tokens = own_tokens
        self._state = state
        self._issuer = issuer

    async def introspect(self, request: ClientRequest) -> Response:
        """Tell whether a token counts. One that the client may not know of is not active."""
        if request.client.method == PUBLIC:
            # Whoever finds a token could ask what it is good for (RFC 7662 section 4).
            raise rejected_client()
        presented, record = _presented(request), request.client.record
        token = await self._own_tokens.read(presented)
        if token is not None and _may_know(record, token):
            claims = {name: token.claims[name] for name in _TOLD if name in token.claims}
            token_type = "DPoP" if "jkt" in _confirmation(token) else "Bearer"
            return as_json(200, {"active": True, "token_type": token_type, **claims}, {})
        found = await self._refresh_token(presented)
        if found is None or not _is_current(*found) or found[1].client_id != record.client_id:
            return as_json(200, _INACTIVE, {})
        return as_json(200, self._about(found[1]), {})

    async def revoke(self, request: ClientRequest) -> Response:
        """End a token. One that is not known is ended already (RFC 7009 section 2.2)."""
        hint = first(request.form, "token_type_hint")
        if hint and hint not in _HINTS:
            raise UnsupportedTypeError("tokens are access_token or refresh_token")
        presented, client_id = _presented(request), request.client.record.client_id
        if self._state is None:
            raise store_unavailable()
        found = await self._refresh_token(presented)
        if found is not None:
            _check_owner(found[1].client_id, client_id)
            # What was issued from it ends with it.
            await self._state.families.end(found[0].family)
            return as_json(200, {}, {})
        token = await self._own_tokens.read(presented)
        if token is not None:
            _check_owner(token.client_id, client_id)
            await self._state.revocations.revoke(token.token_id, token.expires_at)
        return as_json(200, {}, {})

    async def _refresh_token(self, presented: str) -> tuple[Handle, Family] | None:
        if self._state is None:
            return None
        handle = self._state.handles.read_refresh_token(presented)
        if handle is None:
            return None
        family = await self._state.families.look(handle.family)
        return None if family is None else (handle, family)

    def _about(self, family: Family) -> Mapping[str, object]:
        return {
            "active": True,
            "iss": self._issuer,
            "client_id": family.client_id,
            "sub": family.subject,
            "scope": " ".join(family.scopes),
            "exp": family.expires_at,
        }


def _presented(request: ClientRequest) -> str:
    token = first(request.form, "token")
    if not token:
        raise InvalidRequestError("token is missing")
    return token


def _may_know(record: ClientRecord, token: OwnToken) -> bool:
    return (
        record.introspects
        or token.client_id == record.client_id
        or record.client_id in token.audiences
    )


def _confirmation(token: OwnToken) -> Mapping[str, object]:
    value = token.claims.get("cnf")
    return value if isinstance(value, dict) else {}


def _is_current(handle: Handle, family: Family) -> bool:
    return family.stage is Stage.ACTIVE and handle.generation == family.generation


def _check_owner(owner: str, client_id: str) -> None:
    if owner != client_id:
        raise InvalidGrantError("the token was issued to another client")

"""The token endpoint: fetch what the grant needs, run it, write what it decided in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidRequestError,
    UnsupportedGrantTypeError,
)

from gateway.identity.clients import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    GRANT_TYPES,
    PUBLIC,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from gateway.identity.issuer import TOKEN_PATH
from gateway.identity.server.endpoint import ClientRequest, as_json
from gateway.identity.server.exchange import TokenExchange
from gateway.identity.server.families import Family, Outcome
from gateway.identity.server.forms import first
from gateway.identity.server.grant_server import GrantRequest, GrantServer
from gateway.identity.server.grants import (
    AuthorizationCode,
    ClientCredentials,
    RefreshToken,
    S256Challenge,
)

if TYPE_CHECKING:
    from starlette.responses import Response

    from gateway.identity.server.confirmation import Binder, Binding
    from gateway.identity.server.handles import Handle
    from gateway.identity.server.issuance import Issuance
    from gateway.identity.server.own_tokens import OwnTokens
    from gateway.identity.server.state import ServerState

# A family without refresh tokens is remembered for as long as its access token lives, so that
# a code that comes back can still end it.
_SKEW_SECONDS = 60


class TokenService:
    """Answers token requests. Without `state` (no Redis) clients act for themselves only.

    `is_user` tells, by name and stamp, whether the configuration has a person.
    """

    def __init__(
        self,
        issuance: Issuance,
        scopes: Sequence[str],
        own_tokens: OwnTokens,
        binder: Binder,
        state: ServerState | None,
        is_user: Callable[[str, str], bool],
    ) -> None:
        self._issuance = issuance
        self._scopes = sorted(scopes)
        self._own_tokens = own_tokens
        self._binder = binder
        self._state = state
        self._is_user = is_user

    async def respond(self, request: ClientRequest) -> Response:
        """Return the answer. Raises OAuth2Error, RedisFailure."""
        grant_type = first(request.form, "grant_type")
        if not grant_type:
            raise InvalidRequestError("grant_type is missing")
        offered = (CLIENT_CREDENTIALS,) if self._state is None else GRANT_TYPES
        if grant_type not in offered:
            # What was asked for is better not quoted.
            raise UnsupportedGrantTypeError(grant_type)
        binding = await self._binder.bind(request)
        grant_request = await self._fetch(request, grant_type, binding)
        server = self._server(request)
        status, body, _ = server.create_token_response(grant_request)
        await self._write(grant_type, grant_request, binding)
        headers = {"DPoP-Nonce": binding.nonce} if binding.nonce else {}
        return as_json(status, body, headers)

    def _server(self, request: ClientRequest) -> GrantServer:
        handles = None if self._state is None else self._state.handles
        server = GrantServer(request.client.record, self._issuance, handles, self._scopes)
        server.register_grant(ClientCredentials)
        server.register_grant(AuthorizationCode, [S256Challenge(required=True)])
        server.register_grant(RefreshToken)
        server.register_grant(TokenExchange)
        return server

    async def _fetch(
        self, request: ClientRequest, grant_type: str, binding: Binding
    ) -> GrantRequest:
        """Return the request with every record that its grant may ask for."""
        found = GrantRequest(
            self._issuance.issuer.issuer + TOKEN_PATH,
            request.form,
            request.client.record,
            request.client.method,
            confirmation=binding.confirmation,
        )
        if self._state is None:
            return found
        if grant_type == AUTHORIZATION_CODE:
            found.handle = self._state.handles.read_code(first(request.form, "code"))
        elif grant_type == REFRESH_TOKEN:
            presented = first(request.form, "refresh_token")
            found.handle = self._state.handles.read_refresh_token(presented)
        elif grant_type == TOKEN_EXCHANGE:
            found.subject = await self._own_tokens.read(first(request.form, "subject_token"))
            found.actor = await self._own_tokens.read(first(request.form, "actor_token"))
        if found.handle is not None:
            found.family = await self._family(self._state, found.handle)
        return found

    async def _family(self, state: ServerState, handle: Handle) -> Family | None:
        family = await state.families.look(handle.family)
        # With a person who is removed or gets another password, all they allowed ends.
        if family is not None and family.user:
            return family if self._is_user(family.user, family.user_stamp) else None
        return family

    async def _write(self, grant_type: str, request: GrantRequest, binding: Binding) -> None:
        """Enter what was issued. Raises InvalidGrantError for what was used by somebody else."""
        state, record, token = self._state, request.record, request.token
        if state is None or record is None or token is None:
            return
        outcome = Outcome.USED
        if grant_type == AUTHORIZATION_CODE:
            outcome = await self._redeem(state, request, binding)
        elif grant_type == REFRESH_TOKEN:
            outcome = await self._rotate(state, request, binding)
        if outcome is not Outcome.USED:
            raise InvalidGrantError("the code or refresh token is not valid any more")
        if record.registered_at:
            expires_at = int(self._issuance.issuer.now()) + token.lifetime_seconds
            await state.registered.note_token(record.client_id, token.token_id, expires_at)

    async def _redeem(self, state: ServerState, request: GrantRequest, binding: Binding) -> Outcome:
        handle, family, use = request.granted()
        end = family.expires_at if family.refreshes else use.expires_at + _SKEW_SECONDS
        keep_seconds = end - int(self._issuance.issuer.now())
        # A confidential client proves itself at each refresh, so its key may change.
        bound_to = binding.thumbprint if request.auth_method == PUBLIC else ""
        return await state.families.redeem(handle.family, use, keep_seconds, bound_to=bound_to)

    async def _rotate(self, state: ServerState, request: GrantRequest, binding: Binding) -> Outcome:
        handle, family, use = request.granted()
        if family.bound_to and family.bound_to != binding.thumbprint:
            raise InvalidGrantError("the refresh token is bound to another key")
        return await state.families.rotate(handle.family, handle.generation, use)

"""The grants of OAuth 2.0 that systems offer to servers: RFC 6749 4.4 and 6, RFC 7523."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from secrets import token_hex
from typing import Protocol
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey

from portico.connectors.credentials import basic_value
from portico.connectors.failures import (
    BrokenError,
    CredentialsError,
    ThrottledError,
    UnavailableError,
)
from portico.connectors.messages import Answer
from portico.connectors.oauth import Token
from portico.connectors.wire import Wire
from portico.deadline import Deadline

# Systems accept assertions of at most three or five minutes.
ASSERTION_SECONDS = 120


class TokenEndpoint:
    """Where a system issues tokens, and how the client proves itself there.

    The client is authenticated by HTTP Basic, or in the form if `in_form` (RFC 6749, 2.3.1).
    Without a secret only its id is sent.
    """

    def __init__(
        self,
        wire: Wire,
        url: str,
        *,
        client_id: str = "",
        client_secret: str = "",
        in_form: bool = False,
    ) -> None:
        self.url = url
        self._wire = wire
        self._form: dict[str, str] = {}
        self._headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        if client_secret and not in_form:
            self._headers["authorization"] = basic_value(client_id, client_secret)
        elif client_id:
            self._form = {"client_id": client_id}
            if client_secret:
                self._form["client_secret"] = client_secret

    async def ask(self, form: Mapping[str, str], deadline: Deadline) -> Mapping[str, object]:
        """Return what the endpoint answers; raises CredentialsError where it refuses."""
        answer = await self._wire.exchange(
            "POST",
            self.url,
            headers=self._headers,
            content=urlencode({**self._form, **form}).encode(),
            deadline=deadline,
        )
        if answer.status == 200:
            return answer.record()
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> CredentialsError | ThrottledError | UnavailableError:
        system = self._wire.system
        if answer.status == 429:
            wait = answer.retry_after_seconds()
            message = f"{system} issues no more tokens for now"
            return ThrottledError(message, system=system, retry_after_seconds=wait)
        if answer.status >= 500:
            return UnavailableError(f"{system} issues no tokens at the moment", system=system)
        code = _error_code(answer)
        return CredentialsError(
            f"{system} issues no token to this API: {code}", system=system, code=code
        )


def _error_code(answer: Answer) -> str:
    """Return the error code (RFC 6749, 5.2); a description might quote a credential."""
    try:
        return str(answer.record().get("error", answer.status))
    except BrokenError:
        return str(answer.status)


def token_of(answer: Mapping[str, object]) -> Token:
    """Return the token of a successful answer (RFC 6749, 5.1); raises BrokenError."""
    access_token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(access_token, str) or not access_token:
        raise BrokenError("the token endpoint answered without an access token")
    return Token(
        access_token=access_token,
        lifetime_seconds=float(str(lifetime)) if str(lifetime).isdigit() else None,
        # Salesforce names the host of the organization with the token.
        base_url=str(answer.get("instance_url", "")),
    )


class ClientCredentials:
    """The client's own token (RFC 6749, 4.4)."""

    def __init__(self, endpoint: TokenEndpoint, *, scope: str = "") -> None:
        self._endpoint = endpoint
        self._form = {"grant_type": "client_credentials"}
        if scope:
            self._form["scope"] = scope

    async def fetch(self, deadline: Deadline) -> Token:
        return token_of(await self._endpoint.ask(self._form, deadline))


class JWTBearer:
    """A token for a signed assertion (RFC 7523, 2.1). `claims` are those that do not change."""

    def __init__(
        self,
        endpoint: TokenEndpoint,
        *,
        private_key: str,
        claims: Mapping[str, str],
        algorithm: str = "RS256",
    ) -> None:
        self._endpoint = endpoint
        self._key = RSAKey.import_key(private_key)
        self._claims = dict(claims)
        self._algorithm = algorithm

    async def fetch(self, deadline: Deadline) -> Token:
        now = int(time.time())
        claims = {
            **self._claims,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": token_hex(16),
        }
        header = {"alg": self._algorithm, "typ": "JWT"}
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(header, claims, self._key, algorithms=[self._algorithm]),
        }
        return token_of(await self._endpoint.ask(form, deadline))


class HeldRefreshToken(Protocol):
    """The refresh token, while nobody else uses it."""

    @property
    def value(self) -> str: ...
    @property
    def initial(self) -> str:
        """The one that was configured."""
        ...

    async def save(self, value: str) -> None:
        """Keep another one from now on; it survives whatever happens after the return."""
        ...


class RefreshTokens(Protocol):
    """Where the refresh token of a credential is kept."""

    def hold(self, deadline: Deadline) -> AbstractAsyncContextManager[HeldRefreshToken]:
        """Return the token for exclusive use, across processes."""
        ...


class RefreshToken:
    """A token for a refresh token (RFC 6749, 6) that may be rotated each time.

    A new refresh token is saved before the access token is used. If the process ends between
    receipt and save, the next fetch sends the old one again: a system that accepts it for a while
    goes on, at any other the app has to be authorized anew.
    """

    def __init__(self, endpoint: TokenEndpoint, store: RefreshTokens) -> None:
        self._endpoint = endpoint
        self._store = store

    async def fetch(self, deadline: Deadline) -> Token:
        async with self._store.hold(deadline) as held:
            answer = await self._ask(held, deadline)
            rotated = answer.get("refresh_token")
            if isinstance(rotated, str) and rotated and rotated != held.value:
                await held.save(rotated)
            return token_of(answer)

    async def _ask(self, held: HeldRefreshToken, deadline: Deadline) -> Mapping[str, object]:
        try:
            return await self._endpoint.ask(_refresh_form(held.value), deadline)
        except CredentialsError:
            if held.value == held.initial:
                raise
        # What was saved may be of another time, as after a restore; the operator's may be newer.
        return await self._endpoint.ask(_refresh_form(held.initial), deadline)


def _refresh_form(token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token}

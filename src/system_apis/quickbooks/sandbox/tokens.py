"""Intuit's token endpoint: access tokens of an hour, refresh tokens that are rotated.

When a refresh token is exchanged, it is accepted for another day, so that an app can recover that
lost the new one. That Intuit does so is not verified.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from secrets import token_urlsafe
from urllib.parse import parse_qs

from portico.sandbox.state import State

ACCESS_SECONDS = 3600
GRACE_SECONDS = 86_400
REFRESH_SECONDS = 8_640_000  # 100 days


class TokenRefusal(Exception):  # noqa: N818  # it is an answer, not a failure of ours
    """What the endpoint answers a wrong request."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class Tokens:
    """The tokens of one app for one company."""

    def __init__(
        self,
        state: State,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._client = (client_id, client_secret)
        self._first = refresh_token
        self._clock = clock

    def exchange(self, authorization: str, body: bytes) -> Mapping[str, object]:
        """Return new tokens for a refresh token; raises TokenRefusal."""
        self._check_client(authorization)
        form = parse_qs(body.decode(errors="replace"))
        if form.get("grant_type") != ["refresh_token"]:
            raise TokenRefusal(400, "unsupported_grant_type")
        self._use((form.get("refresh_token") or [""])[0])
        access, refresh = token_urlsafe(24), token_urlsafe(24)
        now = self._clock()
        self._state.table("access_token")[access] = {"until": now + ACCESS_SECONDS}
        self._state.table("refresh_token")[refresh] = {"until": now + REFRESH_SECONDS}
        return {
            "token_type": "bearer",
            "access_token": access,
            "expires_in": ACCESS_SECONDS,
            "refresh_token": refresh,
            "x_refresh_token_expires_in": REFRESH_SECONDS,
        }

    def _use(self, token: str) -> None:
        known = self._state.table("refresh_token")
        if not known:
            known[self._first] = {"until": self._clock() + REFRESH_SECONDS}
        now = self._clock()
        if token not in known or known[token]["until"] < now:
            raise TokenRefusal(400, "invalid_grant")
        for other in known.values():
            other["until"] = min(other["until"], now + GRACE_SECONDS)

    def accepts(self, authorization: str) -> bool:
        """Tell whether a request may pass."""
        scheme, _, token = authorization.partition(" ")
        found = self._state.table("access_token").get(token)
        return scheme.lower() == "bearer" and found is not None and found["until"] > self._clock()

    def revoke(self) -> None:
        """Accept no access token given out before."""
        self._state.table("access_token").clear()

    def _check_client(self, authorization: str) -> None:
        scheme, _, value = authorization.partition(" ")
        try:
            given = b64decode(value).decode().partition(":")
        except ValueError:
            given = ("", "", "")
        right = hmac.compare_digest(given[2].encode(), self._client[1].encode())
        if scheme.lower() != "basic" or given[0] != self._client[0] or not right:
            raise TokenRefusal(401, "invalid_client")

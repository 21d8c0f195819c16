"""An OAuth 2.0 client: one token for all requests of a credential, one fetch of it at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from portico.connectors.credentials import Authorization
from portico.connectors.failures import OutOfTimeError
from portico.connectors.messages import Errand, Request
from portico.deadline import Deadline

# A token that ends so soon is replaced before it is used, so that it does not end on its way.
EARLY_SECONDS = 30.0
# The time of a fetch is its own: whoever waited first may have given up long before it ends.
FETCH_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token. `lifetime_seconds` is None where the system does not say."""

    access_token: str = field(repr=False)
    lifetime_seconds: float | None = None
    base_url: str = ""


class Grant(Protocol):
    """A way to get an access token."""

    async def fetch(self, deadline: Deadline) -> Token:
        """Return a new token; raises ConnectorError."""
        ...


class OAuthCredentials:
    """Bearer tokens of a grant, renewed before they end and when they are not accepted."""

    def __init__(self, grant: Grant, clock: Callable[[], float] = monotonic) -> None:
        self._grant = grant
        self._clock = clock
        self._token: tuple[Authorization, float | None] | None = None
        self._fetching: asyncio.Task[Authorization] | None = None

    async def authorize(self, request: Request, errand: Errand) -> Authorization:
        del request
        if self._token is not None:
            authorization, ends = self._token
            if ends is None or self._clock() < ends:
                return authorization
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
            # Its failure is raised where it is awaited; nobody may be left to await it.
            self._fetching.add_done_callback(_look_at)
        try:
            # Who gives up must not end the fetch: a rotated refresh token would be lost with it.
            async with asyncio.timeout(max(0.0, errand.deadline.remaining())):
                return await asyncio.shield(self._fetching)
        except TimeoutError as error:
            raise OutOfTimeError("no access token was issued in time") from error

    def reject(self, authorization: Authorization) -> bool:
        # Of many requests with one bad token the first drops it; the others find the next one.
        if self._token is not None and self._token[0] is authorization:
            self._token = None
        return True

    async def aclose(self) -> None:
        """Wait for the fetch that is under way."""
        if self._fetching is not None:
            await asyncio.wait([self._fetching], timeout=FETCH_SECONDS)

    async def _fetch(self) -> Authorization:
        began = self._clock()
        token = await self._grant.fetch(Deadline.after(FETCH_SECONDS))
        ends = None
        if token.lifetime_seconds is not None:
            # Of a token that lives shorter than that, the second half is left.
            early = min(EARLY_SECONDS, token.lifetime_seconds / 2)
            ends = began + token.lifetime_seconds - early
        headers: Mapping[str, str] = {"authorization": f"Bearer {token.access_token}"}
        authorization = Authorization(headers=headers, base_url=token.base_url)
        self._token = (authorization, ends)
        return authorization

    def __repr__(self) -> str:
        return f"<OAuthCredentials {'with' if self._token else 'without'} a token>"


def _look_at(task: asyncio.Task[Authorization]) -> None:
    if not task.cancelled():
        task.exception()

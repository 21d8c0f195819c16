"""Who we are to an S/4HANA: a user or a client, and the CSRF token that every write carries.

The token belongs to the session of its cookies and is valid for all services, so it is fetched
once, from the service that is written to first: a user may have that one alone. When the session
ends, a write is answered 403 with `x-csrf-token: Required`; then the token is fetched again, once.
Behind a load balancer the cookies are also what leads back to the same server.
"""

from __future__ import annotations

import asyncio

from portico.connectors.classification import classify
from portico.connectors.credentials import Authorization, Credentials
from portico.connectors.failures import BrokenError
from portico.connectors.messages import Errand, Request, read
from portico.connectors.wire import Wire
from system_apis.sap.dialect import DIALECT
from system_apis.sap.s4 import SERVICES, SYSTEM

TOKEN = "x-csrf-token"  # noqa: S105  # the name of a header field


class CSRFCredentials:
    """Credentials with a CSRF token added to what writes."""

    def __init__(self, inner: Credentials, wire: Wire, base_url: str) -> None:
        self._inner = inner
        self._wire = wire
        self._base_url = base_url.rstrip("/")
        self._session: dict[str, str] | None = None
        self._known: Authorization | None = None
        self._fetching = asyncio.Lock()

    async def authorize(self, request: Request, errand: Errand) -> Authorization:
        known = self._known = await self._inner.authorize(request, errand)
        if not request.writes:
            return known
        async with self._fetching:
            if self._session is None:
                self._session = await self._fetch(request, known, errand)
            session = self._session
        return Authorization(headers={**known.headers, **session}, base_url=known.base_url)

    def reject(self, authorization: Authorization) -> bool:
        given = authorization.headers.get(TOKEN)
        if given is None:
            return self._inner.reject(authorization)
        # Of many writes with one old token the first drops it; the others find the next one.
        if self._session is not None and self._session[TOKEN] == given:
            self._session = None
            # It may as well be the bearer token that was not accepted.
            if self._known is not None:
                self._inner.reject(self._known)
        return True

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _fetch(
        self, request: Request, known: Authorization, errand: Errand
    ) -> dict[str, str]:
        service = next(each for each in SERVICES if request.path.startswith(each.path))
        headers = {**known.headers, TOKEN: "Fetch", "accept": "application/json"}
        answer = await self._wire.exchange(
            "GET", f"{self._base_url}/{service.path}/", headers=headers, deadline=errand.deadline
        )
        failure = classify(DIALECT, read("fetch a CSRF token", ""), answer)
        if failure is not None:
            raise failure
        token = answer.headers.get(TOKEN, "")
        if not token:
            raise BrokenError(f"{SYSTEM} gave no CSRF token", system=SYSTEM)
        cookies = [each.partition(";")[0] for each in answer.headers.get_list("set-cookie")]
        return {TOKEN: token, "cookie": "; ".join(cookies)} if cookies else {TOKEN: token}

    def __repr__(self) -> str:
        return f"<CSRFCredentials {'with' if self._session else 'without'} a token>"

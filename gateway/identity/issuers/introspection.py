"""Opaque tokens: their issuer is asked what they say (RFC 7662)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gateway.identity.claims import TokenCaller, read_caller
from gateway.identity.compact import MAX_TOKEN_BYTES, InvalidTokenError
from gateway.identity.issuers.errors import IssuerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.issuers.fetching import Fetcher
    from gateway.identity.issuers.remote_keys import RemoteKeys
    from gateway.identity.token_policy import TokenPolicy

# How long an answer counts that does not say when the token ends; no answer counts longer.
ANSWER_SECONDS = 60.0
# Questions under way at a time, for one issuer.
_MAX_QUESTIONS = 50


class Introspector:
    """Asks one issuer about tokens, as a client of it. `url` is found by discovery when empty."""

    def __init__(
        self,
        policy: TokenPolicy,
        fetcher: Fetcher,
        keys: RemoteKeys,
        *,
        url: str = "",
        client: tuple[str, str],
    ) -> None:
        # The answer is the issuer's own word, so it need not have all an RFC 9068 token has.
        self._policy = replace(policy, profile=False)
        self._fetcher = fetcher
        self._keys = keys
        self._url = url
        self._client = client
        self._asking: dict[bytes, asyncio.Task[Mapping[str, object]]] = {}

    async def find(self, token: bytes, digest: bytes, now: float) -> TokenCaller | None:
        """Return the caller of an active token, None for any other.

        Raises InvalidTokenError for an active one that is not for here, and
        IssuerUnavailableError when the issuer does not say.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidTokenError(f"the token is larger than {MAX_TOKEN_BYTES} bytes")
        members = await self._ask(token, digest)
        if members.get("active") is not True:
            return None
        return read_caller(self._complete(members, now), policy=self._policy, now=now)

    async def _ask(self, token: bytes, digest: bytes) -> Mapping[str, object]:
        """Return the answer, the same one to all who ask about a token meanwhile."""
        task = self._asking.get(digest)
        if task is None:
            if len(self._asking) >= _MAX_QUESTIONS:
                raise IssuerUnavailableError(f"{self._policy.issuer}: too many questions under way")
            task = self._asking[digest] = asyncio.create_task(self._question(token))
            task.add_done_callback(partial(self._answered, digest))
        return await asyncio.shield(task)

    def _answered(self, digest: bytes, task: asyncio.Task[Mapping[str, object]]) -> None:
        del self._asking[digest]
        if not task.cancelled():
            task.exception()  # everyone who asked may have left

    async def _question(self, token: bytes) -> Mapping[str, object]:
        url = self._url or await self._keys.introspection_url()
        if not url:
            raise IssuerUnavailableError(f"{self._policy.issuer}: offers no introspection")
        form = {"token": token.decode("latin-1"), "token_type_hint": "access_token"}
        return (await self._fetcher.post(url, form, self._client)).members

    def _complete(self, members: Mapping[str, object], now: float) -> dict[str, object]:
        """Return the answer as claims. What RFC 7662 lets out is filled in, what it says stays."""
        given = {name: value for name, value in members.items() if value is not None}
        # `token_type` and `typ` say how the token is used, `username` is for people.
        given.pop("typ", None)
        claims: dict[str, object] = {
            path[0]: "" for path in self._policy.scope_claims if len(path) == 1
        }
        claims |= {"iss": self._policy.issuer, "exp": now + ANSWER_SECONDS, "iat": 0, **given}
        claims.setdefault("sub", claims.get("client_id"))
        claims.setdefault("client_id", claims.get("sub"))
        return claims

    async def aclose(self) -> None:
        """Give up what is under way."""
        for task in [*self._asking.values()]:
            task.cancel()

    def __repr__(self) -> str:
        return f"<Introspector {self._policy.issuer}>"

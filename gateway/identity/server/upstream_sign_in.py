"""The way of a person to the provider and back."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.identity.server.authorization import Asked, SignedIn
from gateway.identity.server.forms import Form, first, read_parameters
from gateway.identity.server.person import Person
from gateway.identity.server.transient import Kind, TransientRecords
from gateway.identity.server.upstream import ProviderError, UpstreamProvider

if TYPE_CHECKING:
    from gateway.identity.server.sign_in import SignIn

# Time to sign in there.
_UPSTREAM_SECONDS = 600
_MAX_NAME_CHARACTERS = 100


class UpstreamSignIn:
    """The two addresses of that way: leaving for the provider and coming back."""

    def __init__(
        self,
        provider: UpstreamProvider,
        sign_in: SignIn,
        records: TransientRecords,
        clock: Callable[[], float],
    ) -> None:
        self._provider = provider
        self._sign_in = sign_in
        self._records = records
        self._clock = clock

    async def leave(self, request: Request) -> Response:
        """Answer the link that chooses the provider: a form could not lead to another origin."""
        return await self._sign_in.shown(lambda: self._leave(request))

    async def come_back(self, request: Request) -> Response:
        """Answer the address that the provider sends people back to."""
        return await self._sign_in.shown(lambda: self._come_back(request))

    async def _leave(self, request: Request) -> Response:
        self._sign_in.begin(request)
        query = read_parameters(request.url.query.encode())
        interaction = await self._sign_in.interaction(request, query)
        nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        state = await self._records.put(
            Kind.UPSTREAM,
            {"interaction": interaction.name, "nonce": nonce, "verifier": verifier},
            _UPSTREAM_SECONDS,
        )
        try:
            address = await self._provider.address(
                state=state,
                nonce=nonce,
                verifier=verifier,
                max_age_seconds=interaction.asked.max_age_seconds,
            )
        except ProviderError as error:
            return self._sign_in.provider_failed(str(error))
        return RedirectResponse(address, 303, {"cache-control": "no-store"})

    async def _come_back(self, request: Request) -> Response:
        query = read_parameters(request.url.query.encode())
        kept = await self._records.take(Kind.UPSTREAM, first(query, "state"))
        if kept is None:
            raise InvalidRequestError("this sign-in is out of date; begin again")
        # The browser is the one that left, because the interaction is its own.
        interaction = await self._sign_in.interaction(
            request, {"interaction": [kept["interaction"]]}
        )
        try:
            person = await self._person(query, kept, interaction.asked)
        except ProviderError as error:
            return self._sign_in.provider_failed(str(error))
        return await self._sign_in.enter(request, interaction, person)

    async def _person(self, query: Form, kept: Mapping[str, Any], asked: Asked) -> Person:
        await self._provider.check_issuer(first(query, "iss"))
        code = first(query, "code")
        if not code:
            raise ProviderError("the provider did not let you in")
        claims = await self._provider.person(code, nonce=kept["nonce"], verifier=kept["verifier"])
        if asked.max_age_seconds is not None and "auth_time" not in claims:
            # Whoever is asked for a max_age has to say it (OpenID Connect Core 3.1.2.1).
            raise ProviderError("the provider does not say when the person signed in")
        return _person_of(claims, self._provider.prefix, int(self._clock()))


def _person_of(claims: Mapping[str, Any], prefix: str, now: int) -> Person:
    """Return the person that claims are about; no two providers name the same one."""
    name = claims.get("name")
    known = isinstance(name, str) and name.isprintable()
    return Person(
        signed_in=SignedIn(
            subject=f"{prefix}{claims['sub']}",
            name=str(name)[:_MAX_NAME_CHARACTERS] if known else "",
            authenticated_at=_authenticated_at(claims, now),
        )
    )


def _authenticated_at(claims: Mapping[str, Any], now: int) -> int:
    """Return when the person signed in there, which may be long ago; now where nothing is said."""
    value = claims.get("auth_time")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= now:
        return now
    return value

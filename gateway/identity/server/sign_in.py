"""From an authorization request to its answer: sign-in, consent, and back to the client.

Between two pages the request is kept in the store, bound to the browser it came from: a form that
another site makes a browser send has no request of that browser in it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from gateway.identity.issuer import CONSENT_PATH
from gateway.identity.server.authorization import Asked, AuthorizationRequests
from gateway.identity.server.cookies import Cookies, hashed, is_same_browser, new_browser
from gateway.identity.server.errors import WaitError, plain_description
from gateway.identity.server.forms import Form, first, read_body, read_form, read_parameters
from gateway.identity.server.person import Person
from gateway.identity.server.sign_in_limits import SignInLimits, Standing
from gateway.identity.server.transient import Kind
from gateway.identity.server.users import MAX_NAME_CHARACTERS, UserRecord, Users
from portico.redis.errors import RedisFailure

if TYPE_CHECKING:
    from gateway.identity.clients import ClientSource
    from gateway.identity.server.pages import Pages
    from gateway.identity.server.state import ServerState

logger = logging.getLogger("portico.identity")

# Time to find a password; after it the application is asked to begin again.
INTERACTION_SECONDS = 900
_STORE_RETRY_SECONDS = "5"
_WRONG = "The user name or the password is wrong."


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInOptions:
    """How long a person stays signed in, and for how long what they allow lasts."""

    issuer: str
    session_seconds: int
    grant_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A checked request that waits for a person, and the name it has in the store."""

    name: str
    asked: Asked
    begun_at: int

    def accepts(self, person: Person | None) -> bool:
        """Tell whether someone signed in recently enough for what is asked."""
        if person is None or self.asked.max_age_seconds is None:
            return person is not None
        # Measured from the request: time spent on its own pages does not count.
        return person.signed_in.authenticated_at >= self.begun_at - self.asked.max_age_seconds


class SignIn:
    """The pages of people. Each method answers one address."""

    def __init__(
        self,
        requests: AuthorizationRequests,
        clients: ClientSource,
        state: ServerState,
        users: Users,
        limits: SignInLimits,
        pages: Pages,
        options: SignInOptions,
        clock: Callable[[], float],
    ) -> None:
        self._requests = requests
        self._clients = clients
        self._records = state.records
        self._handles = state.handles
        self._users = users
        self._limits = limits
        self._pages = pages
        self._options = options
        self._clock = clock
        parts = urlsplit(options.issuer)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._consent_url = options.issuer + CONSENT_PATH
        self._cookies = Cookies(secure=parts.scheme == "https")

    async def authorize(self, request: Request) -> Response:
        """Answer `GET /oauth2/authorize`: the first page, or the client at once."""
        return await self.shown(lambda: self._authorize(request))

    async def sign_in(self, request: Request) -> Response:
        """Answer the form with a name and a password."""
        return await self.shown(lambda: self._sign_in(request))

    async def consent(self, request: Request) -> Response:
        """Answer the page of consent and its form."""
        return await self.shown(lambda: self._consent(request))

    async def sign_out(self, request: Request) -> Response:
        """Answer the page that signs out and its form."""
        return await self.shown(lambda: self._sign_out(request))

    async def style(self, request: Request) -> Response:
        """Answer the style sheet."""
        del request
        headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
        return Response(self._pages.style, 200, headers, "text/css; charset=utf-8")

    async def _authorize(self, request: Request) -> Response:
        self._requests.begin(request)
        query = read_parameters(request.url.query.encode())
        client = await self._clients.find(first(query, "client_id"))
        if client is None:
            raise InvalidRequestError("the application is not known here")
        form = await self._requests.resolve(client, query)
        asked = self._requests.check(client, form)
        browser = self._cookies.browser(request) or new_browser()
        now = int(self._clock())
        members = {
            "client_id": client.client_id,
            "form": form,
            "browser": hashed(browser),
            "begun_at": now,
        }
        name = await self._records.put(Kind.INTERACTION, members, INTERACTION_SECONDS)
        interaction = Interaction(name=name, asked=asked, begun_at=now)
        person = await self._person(request)
        response = await self._go_on(interaction, person)
        self._cookies.set_browser(response, browser)
        return response

    async def _go_on(self, interaction: Interaction, person: Person | None) -> Response:
        """Return the next page for a person, or the answer when nothing needs to be asked."""
        asked = interaction.asked
        if person is None or not interaction.accepts(person):
            return self._pages.sign_in(asked, interaction.name)
        if asked.client.first_party:
            return await self._allow(interaction, person)
        scopes = person.limited(asked.scopes)
        return self._pages.consent(asked, interaction.name, person.signed_in, scopes)

    async def _sign_in(self, request: Request) -> Response:
        form = await self.posted(request)
        interaction = await self.interaction(request, form)
        username, password = first(form, "username"), first(form, "password")
        address = request.client.host if request.client else ""
        permission = await self._limits.attempt(
            username, address, is_known=self._is_known(request, username)
        )
        if permission.standing is Standing.UNKNOWN:
            return self._unavailable()
        if permission.standing is Standing.WAIT:
            return self._too_many(permission.wait_seconds)
        record = None
        if len(username) <= MAX_NAME_CHARACTERS:
            record = await self._users.check(username, password)
        if record is None:
            return self._pages.sign_in(
                interaction.asked, interaction.name, wrong=_WRONG, username=username, status=401
            )
        person = Person.of_user(record, int(self._clock()))
        response = await self.enter(request, interaction, person)
        self._cookies.set_known(response, self._mark(record))
        return response

    def _is_known(self, request: Request, username: str) -> bool:
        """Tell whether this account signed in with this browser before."""
        record, presented = self._users.find(username), self._cookies.known(request)
        return record is not None and compare_digest(presented, self._mark(record))

    def _mark(self, record: UserRecord) -> str:
        return self._handles.mark("known browser", record.username, record.stamp)

    async def enter(self, request: Request, interaction: Interaction, person: Person) -> Response:
        """Begin a session of a person who proved to be one, and go on."""
        # A new name each time: one that was known before sign-in is worth nothing after it.
        await self._records.drop(Kind.SESSION, self._cookies.session(request))
        session = await self._records.put(
            Kind.SESSION, person.members(), self._options.session_seconds
        )
        if interaction.asked.client.first_party and interaction.accepts(person):
            response = await self._allow(interaction, person)
        else:
            response = _see_other(f"{self._consent_url}?interaction={interaction.name}")
        self._cookies.set_session(response, session, self._options.session_seconds)
        return response

    async def _consent(self, request: Request) -> Response:
        if request.method != "POST":
            query = read_parameters(request.url.query.encode())
            interaction = await self.interaction(request, query)
            return await self._go_on(interaction, await self._person(request))
        form = await self.posted(request)
        interaction = await self.interaction(request, form)
        person = await self._person(request)
        if person is None or not interaction.accepts(person):
            return self._pages.sign_in(interaction.asked, interaction.name)
        decision = first(form, "decision")
        if decision == "allow":
            return await self._allow(interaction, person)
        if decision != "deny":
            raise InvalidRequestError("the decision is missing")
        await self._take(interaction)
        return _see_other(self._requests.deny(interaction.asked))

    async def _allow(self, interaction: Interaction, person: Person) -> Response:
        await self._take(interaction)
        signed_in = replace(
            person.signed_in, expires_at=int(self._clock()) + self._options.grant_seconds
        )
        scopes = person.limited(interaction.asked.scopes)
        return _see_other(await self._requests.allow(interaction.asked, signed_in, scopes))

    async def _take(self, interaction: Interaction) -> None:
        """End the interaction: it leads to one answer, however often its form is sent."""
        if await self._records.take(Kind.INTERACTION, interaction.name) is None:
            raise InvalidRequestError("this page was used before")

    async def _sign_out(self, request: Request) -> Response:
        if request.method != "POST":
            return self._pages.sign_out()
        await self.posted(request)
        await self._records.drop(Kind.SESSION, self._cookies.session(request))
        response = self._pages.signed_out()
        self._cookies.end_session(response)
        return response

    def begin(self, request: Request) -> None:
        """Count something that is kept by its address. Raises OAuth2Error for one too many."""
        self._requests.begin(request)

    async def interaction(self, request: Request, form: Form) -> Interaction:
        """Return the request that a page of this browser is about, checked once more."""
        name = first(form, "interaction")
        kept = await self._records.read(Kind.INTERACTION, name)
        if kept is None:
            raise InvalidRequestError("this page is out of date; begin again in the application")
        if not is_same_browser(self._cookies.browser(request), kept["browser"]):
            raise InvalidRequestError("this page belongs to another browser; are cookies allowed?")
        client = await self._clients.find(kept["client_id"])
        if client is None:
            raise InvalidRequestError("the application is not known here any more")
        asked = self._requests.check(client, kept["form"])
        return Interaction(name=name, asked=asked, begun_at=kept["begun_at"])

    async def _person(self, request: Request) -> Person | None:
        """Return who is signed in: not who is removed since, or has another password."""
        session = self._cookies.session(request)
        kept = await self._records.read(Kind.SESSION, session) if session else None
        if kept is None:
            return None
        person = Person.kept(kept)
        if person is None or not person.signed_in.user:
            return person
        record = self._users.find(person.signed_in.user)
        if record is None or record.stamp != person.signed_in.stamp:
            return None
        return Person.of_user(record, person.signed_in.authenticated_at)

    async def posted(self, request: Request) -> Form:
        """Return the form of one of our own pages. Raises OAuth2Error for one from elsewhere."""
        origin = request.headers.get("origin", self._origin)
        site = request.headers.get("sec-fetch-site", "same-origin")
        if origin != self._origin or site != "same-origin":
            raise InvalidRequestError("the form is not from a page of this server", status_code=403)
        body = await read_body(request)
        return read_form(request.headers.get("content-type", ""), body)

    async def shown(self, answer: Callable[[], Awaitable[Response]]) -> Response:
        """Return the answer; an error goes to the client where that is safe, else on a page."""
        try:
            return await answer()
        except WaitError as error:
            if error.status_code == 503:
                return self._unavailable()
            return self._too_many(error.wait_seconds)
        except OAuth2Error as error:
            if error.redirect_uri:
                return _see_other(self._requests.failure(error))
            status = error.status_code if error.status_code in {403, 408, 413} else 400
            text = plain_description(error)
            text = f"{text[:1].upper()}{text[1:]}."
            return self._pages.failure(status, "This request cannot be answered", text)
        except RedisFailure:
            return self._unavailable()
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    def _unavailable(self) -> Response:
        text = "Nobody can sign in at the moment. Try again in a minute."
        return self._pages.failure(
            503, "Sign-in is not available", text, **{"retry-after": _STORE_RETRY_SECONDS}
        )

    def provider_failed(self, reason: str) -> Response:
        """Return the page of a provider that cannot be asked or believed."""
        logger.warning("sign-in at the provider failed: %s", reason)
        text = "The sign-in at the other page did not work. Begin again in the application."
        return self._pages.failure(502, "Sign-in did not work", text)

    def _too_many(self, wait_seconds: int) -> Response:
        minutes = -(-wait_seconds // 60)
        text = f"Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
        return self._pages.failure(
            429, "Too many attempts", text, **{"retry-after": str(wait_seconds)}
        )


def _see_other(uri: str) -> Response:
    # 303 turns the browser's POST into a GET: no password travels on (RFC 9700 section 4.12).
    return RedirectResponse(
        uri, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"}
    )

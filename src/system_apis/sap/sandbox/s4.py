"""An S/4HANA as HTTP shows it: who may come in, the CSRF token, and its services.

A token of CSRF belongs to the session of its cookie and is asked for with `X-CSRF-Token: Fetch`;
a write without it is 403 with `x-csrf-token: Required`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from secrets import token_urlsafe
from urllib.parse import parse_qsl

import orjson

from portico.sandbox.permissions import Permissions
from portico.sandbox.state import State
from system_apis.sap.sandbox import batch, metadata
from system_apis.sap.sandbox.errors import RefusalError, no_access, not_found, read_only
from system_apis.sap.sandbox.messages import Answer, Request
from system_apis.sap.sandbox.model import SERVICES, Service
from system_apis.sap.sandbox.service import PAGE_SIZE, Resource
from system_apis.sap.sandbox.store import Store

COOKIE = "SAP_SESSIONID_S4H_100"
MAX_SESSIONS = 1000
_READS = frozenset({"GET", "HEAD"})
# `;v=2` behind a service chooses one of its versions.
_VERSION = re.compile(r";v=\d+")


class S4:
    """One client of one system: its data, its user and the sessions of that user."""

    def __init__(
        self,
        state: State,
        *,
        user: str,
        password: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = Store(state, clock)
        self.permissions = Permissions(each.name for each in SERVICES)
        self.page_size = PAGE_SIZE
        # Whether keys are answered with the zeros they are kept with, as some services do.
        self.zeros = False
        # How many of the next changes find their document open in somebody else's hands.
        self.locks = 0
        self._authorization = f"{user}:{password}".encode()
        self._tokens: dict[str, str] = {}

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, base_url: str
    ) -> Answer:
        """Answer a request; `target` is path and query, header names are lower-case."""
        path, _, query = target.partition("?")
        service = next((each for each in SERVICES if _below(path, each) is not None), None)
        if not self._knows(headers.get("authorization", "")):
            challenge = [("www-authenticate", 'Basic realm="SAP NetWeaver"')]
            return Answer(status=401, media_type="text/html", headers=challenge)
        if service is None:
            return self._refused(not_found(path), v4=False)
        if not self.permissions.may_read(service.name):
            return self._refused(no_access(service.name, v4=service.v4), v4=service.v4)
        session = _session(headers.get("cookie", ""))
        if method not in _READS and not self._may_write(session, headers):
            return Answer(
                status=403,
                content=b"CSRF token validation failed",
                media_type="text/plain;charset=utf-8",
                headers=[("x-csrf-token", "Required")],
            )
        request = Request(
            method=headers.get("x-http-method", method),
            path=(_below(path, service) or "").lstrip("/"),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=headers,
            body=body,
        )
        answered = self._answer(service, request, base_url)
        if method in _READS and headers.get("x-csrf-token", "").lower() == "fetch":
            extra = self._token_for(session)
            answered = replace(answered, headers=[*answered.headers, *extra])
        return answered

    def end_sessions(self) -> None:
        """Forget every session, as a restart does."""
        self._tokens.clear()

    def _answer(self, service: Service, request: Request, base_url: str) -> Answer:
        resource = Resource(service, self.store, base_url, zeros=self.zeros)
        resource.page_size = self.page_size

        def handle(inner: Request) -> Answer:
            try:
                if inner.method not in _READS:
                    self._check_writable(service)
                    self._lock()
                return resource.answer(inner)
            except RefusalError as error:
                return self._refused(error, v4=service.v4)

        match request.path:
            case "":
                names = {"EntitySets": list(service.entities)}
                return Answer(content=orjson.dumps({"d": names}))
            case "$metadata":
                content = metadata.describe(service)
                return Answer(content=content, media_type="application/xml")
            case "$batch" if request.method == "POST":
                try:
                    return batch.answer(request, service.path, self.store, handle)
                except RefusalError as error:
                    return self._refused(error, v4=service.v4)
        return handle(request)

    def _lock(self) -> None:
        if self.locks > 0:
            self.locks -= 1
            message = "Sales document is currently being processed by user SOMEBODY"
            raise RefusalError(400, "V1/042", message)

    def _check_writable(self, service: Service) -> None:
        if not self.permissions.may_write(service.name):
            raise read_only()

    def _knows(self, authorization: str) -> bool:
        try:
            given = base64.b64decode(authorization.partition(" ")[2], validate=True)
        except ValueError:
            return False
        return hmac.compare_digest(given, self._authorization)

    def _may_write(self, session: str, headers: Mapping[str, str]) -> bool:
        known = self._tokens.get(session)
        given = headers.get("x-csrf-token", "")
        return known is not None and hmac.compare_digest(known.encode(), given.encode())

    def _token_for(self, session: str) -> list[tuple[str, str]]:
        """Return the headers that tell the token of a session, a new one if it is not known."""
        if session in self._tokens:
            return [("x-csrf-token", self._tokens[session])]
        session, token = token_urlsafe(24), token_urlsafe(24)
        self._tokens[session] = token
        if len(self._tokens) > MAX_SESSIONS:
            del self._tokens[next(iter(self._tokens))]
        cookie = f"{COOKIE}={session}; path=/; HttpOnly"
        return [
            ("x-csrf-token", token),
            ("set-cookie", cookie),
            ("set-cookie", "sap-usercontext=sap-client=100; path=/"),
        ]

    @staticmethod
    def _refused(error: RefusalError, *, v4: bool) -> Answer:
        content = orjson.dumps(error.document(v4=v4))
        return Answer(status=error.status, content=content, headers=error.headers)

    def __repr__(self) -> str:
        return f"<S4 {len(self._tokens)} sessions {self.store!r}>"


def _below(path: str, service: Service) -> str | None:
    """Return the rest of a path below a service, None if it is not below it."""
    plain = _VERSION.sub("", path)
    if plain == service.path or plain.startswith(f"{service.path}/"):
        return plain[len(service.path) :]
    return None


def _session(cookies: str) -> str:
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""

"""The cookies of people: which browser it is, who is signed in, and who was before.

They are names of records or proofs, unreadable for scripts, and sent back only to this host. `Lax`
lets the session come along when another site leads here, and not with its forms.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_BYTES = 32
_KNOWN_SECONDS = 180 * 86_400


class Cookies:
    """Reads and sets them; over https with the prefix that binds a cookie to its host."""

    __slots__ = ("_browser", "_known", "_secure", "_session")

    def __init__(self, *, secure: bool) -> None:
        prefix = "__Host-" if secure else ""
        self._secure = secure
        self._browser = f"{prefix}portico-browser"
        self._session = f"{prefix}portico-session"
        self._known = f"{prefix}portico-known"

    def browser(self, request: Request) -> str:
        """Return what tells this browser from others, empty if it has not been here."""
        return _checked(request.cookies.get(self._browser, ""))

    def session(self, request: Request) -> str:
        """Return the name of the session, empty without one."""
        return _checked(request.cookies.get(self._session, ""))

    def known(self, request: Request) -> str:
        """Return the proof that somebody signed in here before, empty without one."""
        return _checked(request.cookies.get(self._known, ""))

    def set_known(self, response: Response, value: str) -> None:
        self._set(response, self._known, value, _KNOWN_SECONDS)

    def set_browser(self, response: Response, value: str) -> None:
        self._set(response, self._browser, value, None)

    def set_session(self, response: Response, value: str, lifetime_seconds: int) -> None:
        self._set(response, self._session, value, lifetime_seconds)

    def end_session(self, response: Response) -> None:
        self._set(response, self._session, "", 0)

    def _set(self, response: Response, name: str, value: str, seconds: int | None) -> None:
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )


def new_browser() -> str:
    """Return what a browser is told apart by from now on."""
    return secrets.token_urlsafe(_BYTES)


def hashed(value: str) -> str:
    """Return what is kept of a cookie."""
    return sha256(value.encode()).hexdigest()


def is_same_browser(value: str, kept: str) -> bool:
    """Tell whether a cookie is the one that a record was made for."""
    return bool(value) and compare_digest(hashed(value), kept)


def _checked(value: str) -> str:
    return value if _VALUE.match(value) else ""

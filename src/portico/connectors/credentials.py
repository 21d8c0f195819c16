"""Who we are to a system: what each request carries to say so."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from portico.connectors.messages import Errand, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The header fields that say who asks, and the base URL where the token names one."""

    headers: Mapping[str, str] = field(repr=False)
    base_url: str = ""


class Credentials(Protocol):
    """Authorizes requests. Implementations keep tokens and get new ones."""

    async def authorize(self, request: Request, errand: Errand) -> Authorization:
        """Return what a request carries; raises ConnectorError."""
        ...

    def reject(self, authorization: Authorization) -> bool:
        """Forget what the system did not accept; tell whether there will be something new."""
        ...

    async def aclose(self) -> None:
        """Finish what is under way, such as saving a token."""
        ...


class FixedCredentials:
    """Credentials that never change: a key or a user with a password."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._authorization = Authorization(headers=dict(headers))

    async def authorize(self, request: Request, errand: Errand) -> Authorization:
        del request, errand
        return self._authorization

    def reject(self, authorization: Authorization) -> bool:
        del authorization
        return False

    async def aclose(self) -> None:
        pass

    def __repr__(self) -> str:
        return "<FixedCredentials>"


def bearer(token: str) -> FixedCredentials:
    """Return credentials of a bearer token (RFC 6750)."""
    return FixedCredentials({"authorization": f"Bearer {token}"})


def basic(user: str, password: str) -> FixedCredentials:
    """Return credentials of HTTP Basic (RFC 7617)."""
    return FixedCredentials({"authorization": basic_value(user, password)})


def basic_value(user: str, password: str) -> str:
    """Return the value of an Authorization header of HTTP Basic."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode('ascii')}"

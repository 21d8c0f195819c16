"""Asking an issuer over HTTP: verified TLS, one host, a bounded answer in bounded time."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urljoin, urlsplit

import httpx

from gateway.identity.issuers.errors import IssuerUnavailableError
from gateway.identity.json_object import read_object
from portico.transport.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping

# One answer, redirects included. A request may wait for it.
TIMEOUT_SECONDS = 5.0
# A key set with certificate chains for a hundred keys has about this size.
MAX_DOCUMENT_BYTES = 512 * 1024
# Some issuers redirect once, to another spelling of the same address.
_MAX_REDIRECTS = 3
_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})\"?\s*(?:,|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A JSON object, and how long it may be kept if its issuer says so."""

    members: Mapping[str, object]
    max_age_seconds: float | None


def is_secure(url: str) -> bool:
    """Tell whether a URL is https, or http to this machine itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and (host == "localhost" or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Fetcher:
    """Fetches documents of one issuer. `ca_file` verifies issuers with a CA of one's own."""

    def __init__(self, *, ca_file: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._http = httpx.AsyncClient(
            verify=client_context(Path(ca_file) if ca_file else None),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_seconds,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def get(self, url: str) -> Document:
        """Return the document at a URL. Raises IssuerUnavailableError."""
        return await self._bounded(self._http.build_request("GET", url))

    async def post(self, url: str, form: Mapping[str, str], auth: tuple[str, str]) -> Document:
        """Return the answer to a form from a client. Raises IssuerUnavailableError."""
        # Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
        pair = ":".join(quote_plus(part) for part in auth)
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
        return await self._bounded(
            self._http.build_request(
                "POST", url, data=dict(form), headers={"authorization": authorization}
            )
        )

    async def _bounded(self, request: httpx.Request) -> Document:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response, content = await self._follow(request)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            raise IssuerUnavailableError(f"{request.url}: {reason}") from error
        if response.status_code != 200:
            raise IssuerUnavailableError(f"{request.url}: status {response.status_code}")
        try:
            members = read_object(content)
        except ValueError as error:
            raise IssuerUnavailableError(f"{request.url}: not one JSON object") from error
        return Document(members=members, max_age_seconds=_max_age(response))

    async def _follow(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        for _ in range(_MAX_REDIRECTS + 1):
            if not is_secure(str(request.url)):
                raise IssuerUnavailableError(f"{request.url}: neither https nor this machine")
            response = await self._http.send(request, stream=True)
            try:
                if request.method != "GET" or not response.has_redirect_location:
                    return response, await _read(response)
            finally:
                await response.aclose()
            request = self._redirected(request, response.headers["location"])
        raise IssuerUnavailableError(f"{request.url}: too many redirects")

    def _redirected(self, request: httpx.Request, location: str) -> httpx.Request:
        target = httpx.URL(urljoin(str(request.url), location))
        if (target.scheme, target.host, target.port) != (
            request.url.scheme,
            request.url.host,
            request.url.port,
        ):
            raise IssuerUnavailableError(f"{request.url}: redirects to another host")
        return self._http.build_request("GET", target)


async def _read(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MAX_DOCUMENT_BYTES:
            raise IssuerUnavailableError(f"{response.url}: more than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(content)


def _max_age(response: httpx.Response) -> float | None:
    found = _MAX_AGE.search(response.headers.get("cache-control", ""))
    return float(found[1]) if found else None

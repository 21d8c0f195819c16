"""Vendors' clients, which insist on https and Salesforce's hosts, led to loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter

from portico.sandbox.running import Running

MY_DOMAIN = "quayside.my"


class Detour(HTTPAdapter):
    """Sends requests of a session to another origin."""

    def __init__(self, url: str) -> None:
        self._origin = urlsplit(url)
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **words: Any) -> Any:
        target = urlsplit(request.url or "")
        request.url = urlunsplit(
            (self._origin.scheme, self._origin.netloc, target.path, target.query, "")
        )
        return super().send(request, *args, **words)


class DetourTransport(httpx.AsyncHTTPTransport):
    """Sends requests of a client to another origin."""

    def __init__(self, url: str) -> None:
        self._origin = httpx.URL(url)
        super().__init__()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(
            scheme="http", host=self._origin.host, port=self._origin.port
        )
        return await super().handle_async_request(request)


@pytest.fixture
def session(served: Running) -> Iterator[requests.Session]:
    """A session of requests that ends up at the org."""
    with requests.Session() as opened:
        opened.trust_env = False
        opened.mount("https://", Detour(served.url))
        yield opened


@pytest.fixture
async def https(served: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client of httpx that ends up at the org."""
    transport = DetourTransport(served.url)
    async with httpx.AsyncClient(mounts={"https://": transport}, trust_env=False) as opened:
        yield opened

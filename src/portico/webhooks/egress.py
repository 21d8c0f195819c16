"""Requests to addresses that others chose: only to the public Internet, and never astray.

A name is resolved once, all its addresses are looked at, and the connection goes to those that
were looked at: nothing can change in between (DNS rebinding). Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# Ways to say an IPv4 address in IPv6 that a gateway on the way would translate to it.
_TRANSLATED = tuple(
    ip_network(text)
    for text in (
        "::/96",  # IPv4-compatible, RFC 4291 2.5.5.1
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # local NAT64, RFC 8215
        "2001::/32",  # Teredo, RFC 4380
        "2002::/16",  # 6to4, RFC 3056
    )
)
_CONNECT_SECONDS = 5.0
# Standard Webhooks: between 15 and 30 seconds.
TOTAL_SECONDS = 20.0
_EXCERPT_BYTES = 512
# One slow receiver does not take the connections of all the others.
_PER_HOST = 16


class ForbiddenAddressError(Exception):
    """A URL leads somewhere that no delivery goes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a receiver answered; `excerpt` is the beginning of its body, for people."""

    status: int
    retry_after: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be connected to: public addresses, and networks that the configuration allows."""

    allowed: Sequence[Network] = field(default=())

    def check_url(self, url: str) -> URL:
        """Return a URL that may be tried. Raises ForbiddenAddressError."""
        try:
            parsed = URL(url)
        except ValueError:
            raise ForbiddenAddressError("the URL cannot be read") from None
        if parsed.scheme not in {"https", "http"} or not parsed.host:
            raise ForbiddenAddressError("the URL is not one of HTTPS")
        if parsed.user is not None or parsed.password is not None:
            raise ForbiddenAddressError("the URL carries credentials")
        address = _literal(parsed.host)
        if address is not None:
            self.check(address)
        if parsed.scheme == "http" and (address is None or not self._is_allowed(address)):
            raise ForbiddenAddressError("the URL is not one of HTTPS")
        return parsed

    def check(self, address: Address) -> None:
        """Raise ForbiddenAddressError for an address that is not public."""
        mapped = getattr(address, "ipv4_mapped", None) or address
        if self._is_allowed(mapped):
            return
        translated = any(
            address in network for network in _TRANSLATED if network.version == address.version
        )
        if translated or mapped is not address or not address.is_global or address.is_multicast:
            raise ForbiddenAddressError(f"{address} is not a public address")

    def _is_allowed(self, address: Address) -> bool:
        return _is_in(address, self.allowed)


class _Resolver(AbstractResolver):
    """Resolves a name to addresses that were all checked; aiohttp connects to just these."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results: list[ResolveResult] = []
        for resolved_family, _, protocol, _, target in found:
            # One bad address refuses the name: it would be a matter of luck otherwise.
            self._guard.check(ip_address(str(target[0]).partition("%")[0]))
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(target[0]),
                    port=port,
                    family=resolved_family,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Do nothing: nothing is open."""


class Egress:
    """Posts to receivers. With a proxy it is the proxy that looks at addresses."""

    def __init__(
        self, guard: Guard, *, proxy: str = "", total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self._guard = guard
        self._proxy = proxy or None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # A proxy is ours: its own address needs no guard.
                resolver=None if proxy else _Resolver(guard),
                use_dns_cache=False,
                limit_per_host=_PER_HOST,
                force_close=True,
            ),
            timeout=aiohttp.ClientTimeout(total=total_seconds, connect=_CONNECT_SECONDS),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Response:
        """Return the answer. Raises ForbiddenAddressError, OSError, TimeoutError."""
        target = self._guard.check_url(url)
        try:
            async with self._session.post(
                target, headers=list(headers), data=body, allow_redirects=False, proxy=self._proxy
            ) as answer:
                start = await answer.content.read(_EXCERPT_BYTES)
                return Response(
                    status=answer.status,
                    retry_after=answer.headers.get("retry-after", ""),
                    excerpt=start.decode("utf-8", "replace"),
                )
        except aiohttp.InvalidURL as error:
            # Numbers that only some resolvers take for an address, such as 127.1.
            raise ForbiddenAddressError("the URL has no host that can be told") from error
        except aiohttp.ClientError as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        await self._session.close()


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)

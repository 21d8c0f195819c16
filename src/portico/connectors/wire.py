"""One exchange over HTTP, once: its time, its size, and what each failure of the network means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field

from portico import __version__
from portico.connectors.failures import (
    BrokenError,
    ConnectorError,
    OutOfTimeError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from portico.connectors.messages import Answer
from portico.deadline import Deadline
from portico.transport.pool import PooledTransport
from portico.transport.tls import client_context
from portico.transport.wire import Incoming, Outgoing

MAX_ANSWER_BYTES = 16 * 1024 * 1024
# The share of a deadline that finding a free or new connection may use.
CONNECT_SHARE = 0.9
# Less than the five seconds after which common servers close idle connections.
IDLE_SECONDS = 4.0
# Requests that may wait for a connection, for each connection there is.
WAITING_PER_CONNECTION = 10
# The origins whose parsed URLs are kept.
MAX_ORIGINS = 8
# A path and query that are sent as they are: nothing in them needs quoting (RFC 3986, 3.3 and 3.4).
_PLAIN_TARGET = re.compile(r"/(?:[\w.~!$&'()*+,;=:@/?-]++|%[0-9A-Fa-f]{2})*+", re.ASCII)
_SCHEMES = frozenset({"http", "https"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_FIELDS = (
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", f"portico/{__version__}".encode()),
)


class ConnectionSettings(BaseModel):
    """Where a system is and how many connections it gets. Unknown settings are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: AnyHttpUrl = Field(description="the address of the system")
    max_connections: int = Field(
        default=16, ge=1, le=256, description="requests that the system works on for us at a time"
    )
    connect_timeout_seconds: float = Field(
        default=2.0, gt=0, le=60, description="how long a new connection may take"
    )
    ca_file: Path | None = Field(
        default=None, description="certificates to trust instead of the usual ones, as PEM"
    )


class Wire:
    """Sends one request and reads its whole answer.

    `asked` is the address of the last request, `server_date` the Date of the last answer. Cookies
    are kept: some systems log on anew whom they do not know by one.
    """

    def __init__(self, transport: PooledTransport, *, system: str, connect_seconds: float) -> None:
        self.system = system
        self.asked = ""
        self.server_date = ""
        self._transport = transport
        self._connect_seconds = connect_seconds
        self._cookies = httpx.Cookies()
        self._origins: dict[str, httpx.URL] = {}

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        deadline: Deadline,
    ) -> Answer:
        """Return the answer; raises UnavailableError, OutOfTimeError or BrokenError."""
        remaining = deadline.remaining()
        if remaining <= 0:
            raise OutOfTimeError(
                f"the time ran out before {self.system} was asked", system=self.system
            )
        self.asked = url.partition("?")[0]
        with map_exceptions(self.system):
            request = self._request(method, url, headers, content or b"", remaining)
            # The transport limits each wait for bytes; only this limits the sum of them.
            async with asyncio.timeout(remaining):
                response = await self._transport.exchange(request)
                answer = await self._read(response)
            if "set-cookie" in answer.headers:
                response.request = httpx.Request(method, url)
                self._cookies.extract_cookies(response)
        self.server_date = answer.headers.get("date", "")
        return answer

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes,
        remaining: float,
    ) -> Outgoing:
        address, target = self._address(url)
        waiting = remaining * CONNECT_SHARE
        connecting = min(self._connect_seconds, waiting)
        timeouts = {"connect": connecting, "read": remaining, "write": remaining, "pool": waiting}
        fields = [(b"host", address.netloc), *_FIELDS]
        if "accept" not in headers:
            fields.append((b"accept", b"*/*"))
        if content or method in _WITH_BODY:
            fields.append((b"content-length", b"%d" % len(content)))
        fields += [(name.encode("ascii"), _field_value(value)) for name, value in headers.items()]
        if self._cookies and "cookie" not in headers:
            fields += self._cookie_fields(url)
        extensions = {"timeout": timeouts, "target": target}
        return Outgoing(method, address, fields, content, extensions)

    def _address(self, url: str) -> tuple[httpx.URL, bytes]:
        """Return a URL of the right origin, and the target to ask it for.

        httpx looks at each character of a URL, and queries are long; most need nothing done.
        """
        end = url.find("/", url.find("//") + 2)
        origin, target = url[:end], url[end:]
        if end < 0 or _PLAIN_TARGET.fullmatch(target) is None or "/." in target:
            whole = httpx.URL(url)
            if whole.scheme not in _SCHEMES or not whole.host:
                raise httpx.UnsupportedProtocol(f"{whole.scheme or 'nothing'} is not spoken here")
            return whole, whole.raw_path
        known = self._origins.get(origin)
        if known is None:
            known, _ = self._address(origin)
            # A token may name another origin than the last one did; never many.
            if len(self._origins) >= MAX_ORIGINS:
                self._origins.clear()
            self._origins[origin] = known
        return known, target.encode("ascii")

    def _cookie_fields(self, url: str) -> list[tuple[bytes, bytes]]:
        """Return the field with the cookies that go to a URL."""
        request = httpx.Request("GET", url)
        self._cookies.set_cookie_header(request)
        return [(b"cookie", value.encode()) for value in request.headers.get_list("cookie")]

    async def _read(self, response: Incoming) -> Answer:
        headers = httpx.Headers(response.fields)
        if isinstance(response.body, bytes) and "content-encoding" not in headers:
            body = response.body
            self._check_size(body)
        else:
            body = await self._collected(response)
        return Answer(status=response.status_code, headers=headers, body=body)

    async def _collected(self, response: httpx.Response) -> bytes:
        """Return a body that comes in parts, or packed."""
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                self._check_size(body)
        finally:
            await response.aclose()
        return bytes(body)

    def _check_size(self, body: bytes | bytearray) -> None:
        if len(body) > MAX_ANSWER_BYTES:
            raise BrokenError(f"{self.system} answered with more than {MAX_ANSWER_BYTES} bytes")

    def __repr__(self) -> str:
        return f"<Wire to {self.system}>"


def _field_value(value: str) -> bytes:
    try:
        return value.encode("ascii")
    except UnicodeEncodeError:
        return value.encode()  # as httpx does


@asynccontextmanager
async def open_wire(settings: ConnectionSettings, system: str) -> AsyncIterator[Wire]:
    """Open the pool of connections to a system."""
    transport = PooledTransport(
        max_connections=settings.max_connections,
        max_waiting=settings.max_connections * WAITING_PER_CONNECTION,
        idle_seconds=IDLE_SECONDS,
        tls=client_context(settings.ca_file),
    )
    # Proxies of the environment are not heeded: where a system is, the configuration says.
    async with transport:
        yield Wire(transport, system=system, connect_seconds=settings.connect_timeout_seconds)


# What httpx says, in the order it is looked up: the special before the general.
_FAILURES: tuple[tuple[type[Exception], type[ConnectorError], str, bool], ...] = (
    (httpx.PoolTimeout, ThrottledError, "every connection to {} is in use", False),
    (httpx.ConnectTimeout, UnreachableError, "{} does not answer", False),
    (httpx.ConnectError, UnreachableError, "{} does not answer", False),
    (TimeoutError, OutOfTimeError, "{} did not answer in time", True),
    (httpx.TimeoutException, OutOfTimeError, "{} did not answer in time", True),
    (httpx.NetworkError, UnavailableError, "the connection to {} broke", True),
    (httpx.RemoteProtocolError, UnavailableError, "{} broke off its answer", True),
    (httpx.InvalidURL, BrokenError, "{} named an address that is none", False),
    (httpx.HTTPError, BrokenError, "{} was sent or sent something that is not HTTP", True),
)


@contextmanager
def map_exceptions(system: str) -> Iterator[None]:
    """Turn what the HTTP client raises into failures of a connector."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        kind, text, in_doubt = next(
            (kind, text, in_doubt)
            for raised, kind, text, in_doubt in _FAILURES
            if isinstance(error, raised)
        )
        raise kind(text.format(system), system=system, in_doubt=in_doubt) from error

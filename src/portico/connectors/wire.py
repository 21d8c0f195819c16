"""One exchange over HTTP, once: its time, its size, and what each failure of the network means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field

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

MAX_ANSWER_BYTES = 16 * 1024 * 1024
# The share of a deadline that finding a free or new connection may use.
CONNECT_SHARE = 0.9
# Less than the five seconds after which common servers close idle connections.
IDLE_SECONDS = 4.0
# Requests that may wait for a connection, for each connection there is.
WAITING_PER_CONNECTION = 10
# A query that is sent as it is: nothing in it needs quoting, nor is it a fragment (RFC 3986, 3.4).
_QUOTED_QUERY = re.compile(r"[\w.~!$&'()*+,;=:@/?%-]+", re.ASCII)


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

    `asked` is the address of the last request, `server_date` the Date of the last answer.
    """

    def __init__(self, http: httpx.AsyncClient, *, system: str, connect_seconds: float) -> None:
        self.system = system
        self.asked = ""
        self.server_date = ""
        self._http = http
        self._connect_seconds = connect_seconds

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
        waiting = remaining * CONNECT_SHARE
        connecting = min(self._connect_seconds, waiting)
        timeout = httpx.Timeout(remaining, connect=connecting, pool=waiting)
        with map_exceptions(self.system):
            request = self._request(method, url, headers, content, timeout)
            # httpx limits each wait for bytes; only this limits the sum of them.
            async with asyncio.timeout(remaining):
                return await self._read(await self._http.send(request, stream=True))

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: httpx.Timeout,
    ) -> httpx.Request:
        """Return the request. httpx looks at each character of a URL, and queries are long."""
        address, _, query = url.partition("?")
        quoted = _QUOTED_QUERY.fullmatch(query) is not None
        request = self._http.build_request(
            method, address if quoted else url, headers=headers, content=content, timeout=timeout
        )
        if quoted:
            request.extensions["target"] = request.url.raw_path + b"?" + query.encode()
        return request

    async def _read(self, response: httpx.Response) -> Answer:
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise BrokenError(
                        f"{self.system} answered with more than {MAX_ANSWER_BYTES} bytes"
                    )
        finally:
            await response.aclose()
        self.server_date = response.headers.get("date", "")
        return Answer(status=response.status_code, headers=response.headers, body=bytes(body))

    def __repr__(self) -> str:
        return f"<Wire to {self.system}>"


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
    async with httpx.AsyncClient(
        transport=transport, trust_env=False, follow_redirects=False
    ) as http:
        yield Wire(http, system=system, connect_seconds=settings.connect_timeout_seconds)


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

"""An httpx transport on aiohttp's connections and response parser, made for proxying.

aiohttp resolves, connects, keeps alive and parses. Its session is left out: it costs more than
everything else together, and it changes what it passes on.
"""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

import aiohttp
import httpx
from yarl import URL

from portico.deadline import Watch
from portico.transport.bodies import ResponseBody, Upload, check_end, time_out, translated
from portico.transport.exchange import Exchange
from portico.transport.slots import Slots
from portico.transport.wire import Incoming, Outgoing

if TYPE_CHECKING:
    import ssl

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.http import RawResponseMessage

# The safe methods that are forwarded; only these are sent again after a stale connection.
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})
# Bounds of a response: what is read ahead, the status line, a field, the fields, the interim ones.
_READ_AHEAD_BYTES = 65_536
_MAX_LINE_BYTES = 8_192
_MAX_FIELD_BYTES = 16_384
_MAX_FIELDS = 128
_MAX_INTERIM_RESPONSES = 16
_HTTP_10 = {"http_version": b"HTTP/1.0"}
_HTTP_11 = {"http_version": b"HTTP/1.1"}


class PooledTransport(httpx.AsyncBaseTransport):
    """A bounded pool of HTTP/1.1 connections.

    Besides the time-outs of httpx it heeds the request extensions `target`, the raw request
    target, and `deadline`, a Deadline that the whole exchange does not pass. Bytes go through
    untouched: redirects, cookies, proxies and content codings are none of its business.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        max_waiting: int,
        idle_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._slots = Slots(max_connections, max_waiting=max_waiting)
        self._max_connections = max_connections
        self._idle_seconds = idle_seconds
        self._tls = tls
        self._connector: aiohttp.TCPConnector | None = None
        self._origins: dict[tuple[str, str, int | None], aiohttp.ClientRequest] = {}
        self._last: tuple[httpx.URL, aiohttp.ClientRequest] | None = None
        # Connections that have carried a request: only these can turn out to be stale.
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._timeout = aiohttp.ClientTimeout()
        self._watch = Watch()

    def __repr__(self) -> str:
        return f"<PooledTransport {self._slots!r}>"

    async def aclose(self) -> None:
        """Close every connection."""
        if self._connector is not None:
            await self._connector.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; see httpx.AsyncBaseTransport."""
        return await self.exchange(
            request if isinstance(request, Outgoing) else Outgoing.of(request)
        )

    async def exchange(self, outgoing: Outgoing) -> Incoming:
        """Send a request and return the response, its body perhaps still to come."""
        exchange = Exchange(outgoing, _render_head(outgoing), self._slots)
        if not self._slots.take():
            await self._slots.wait(exchange.seconds("pool"))
        try:
            return await self._send(exchange)
        except BaseException as exc:
            exchange.end(complete=False)
            if (known := translated(exc)) is None:
                raise
            raise known from exc

    async def _send(self, exchange: Exchange) -> Incoming:
        protocol, used = await self._connect(exchange)
        try:
            message, payload = await _head(exchange, protocol, self._watch)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            if not used or not _may_repeat(exchange.request, exc):
                raise
            protocol, _ = await self._connect(exchange, fresh=True)
            message, payload = await _head(exchange, protocol, self._watch)
        body: bytes | ResponseBody
        if payload.is_eof():
            body = payload.read_nowait()
            check_end(protocol, message)
            exchange.end(complete=True)
        else:
            body = ResponseBody(exchange, protocol, message, payload)
        version = _HTTP_10 if message.version == (1, 0) else _HTTP_11
        return Incoming(message.code, message.raw_headers, body, version)

    async def _connect(
        self, exchange: Exchange, *, fresh: bool = False
    ) -> tuple[ResponseHandler, bool]:
        """Give the exchange a connection; return its protocol, and whether it was used before."""
        connector = self._connector or self._open()
        origin = self._origin(exchange.request.url)
        while True:
            if exchange.connection is not None:
                exchange.connection.close()
            try:
                timeout = self._connect_timeout(exchange.seconds("connect"))
                connection = await connector.connect(origin, [], timeout)
            except TimeoutError as exc:
                raise httpx.ConnectTimeout("no connection was made in time") from exc
            except (aiohttp.ClientError, OSError) as exc:
                raise httpx.ConnectError("no connection could be made") from exc
            exchange.connection = connection
            protocol = connection.protocol
            if protocol is None:
                raise httpx.ConnectError("the pool is closed")
            if protocol not in self._used:
                self._used.add(protocol)
                return protocol, False
            # Bytes that came while it was idle would be taken for the answer to this request.
            if not fresh and not protocol.should_close:
                return protocol, True

    def _open(self) -> aiohttp.TCPConnector:
        # Not before the first request: a connector belongs to the event loop that runs.
        self._connector = aiohttp.TCPConnector(
            limit=self._max_connections, keepalive_timeout=self._idle_seconds, ssl=self._tls or True
        )
        return self._connector

    def _origin(self, url: httpx.URL) -> aiohttp.ClientRequest:
        """Return what tells the connector where to connect to; it is never sent."""
        # Mostly it is the one URL of the one upstream, and looking into a URL takes time.
        if self._last is not None and self._last[0] is url:
            return self._last[1]
        key = (url.scheme, url.host, url.port)
        origin = self._origins.get(key)
        if origin is None:
            address = URL.build(scheme=url.scheme, host=url.host, port=url.port)
            origin = aiohttp.ClientRequest("GET", address, loop=asyncio.get_running_loop())
            self._origins[key] = origin
        self._last = (url, origin)
        return origin

    def _connect_timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        if self._timeout.connect != seconds:
            # The threshold is that above which aiohttp rounds up to whole seconds.
            self._timeout = aiohttp.ClientTimeout(connect=seconds, ceil_threshold=inf)
        return self._timeout


async def _head(
    exchange: Exchange, protocol: ResponseHandler, watch: Watch
) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """Send the request and return the head of the answer, with the stream of its body."""
    protocol.set_response_params(
        skip_payload=exchange.request.method == "HEAD",
        read_until_eof=True,
        auto_decompress=False,
        read_bufsize=_READ_AHEAD_BYTES,
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_FIELD_BYTES,
        max_headers=_MAX_FIELDS,
    )
    seconds = _start(exchange, protocol)
    alarm = watch.call_at(monotonic() + seconds, partial(time_out, protocol))
    try:
        message, payload = await protocol.read()
        if 200 <= message.code <= 599:
            return message, payload
        return await _final_head(protocol, message)
    finally:
        watch.discard(alarm)
        if exchange.upload is not None:
            exchange.upload.answered()


def _start(exchange: Exchange, protocol: ResponseHandler) -> float:
    """Write what can be written at once; return the seconds until the head must have come."""
    transport = protocol.transport
    if transport is None:
        raise aiohttp.ServerDisconnectedError
    body = exchange.request.body
    if isinstance(body, bytes):
        transport.write(exchange.head + body)
        return exchange.seconds("read")
    transport.write(exchange.head)
    declared = exchange.request.headers.get("content-length")
    length = None if declared is None else int(declared)
    exchange.upload = Upload(exchange, protocol, body, length)
    # The upload sets the time for the answer when it is done.
    return exchange.remaining()


def _render_head(request: Outgoing) -> bytes:
    target: bytes = request.extensions.get("target") or request.url.raw_path
    fields = request.fields
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target)]
    lines += [b": ".join(field) for field in fields]
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    # One look at the whole instead of one at each part.
    ends = len(fields) + 2
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise httpx.LocalProtocolError("a header field or the target contains CR, LF or NUL")
    if lines[0].count(b" ") != 2:
        raise httpx.LocalProtocolError("the method or the target contains a space")
    return head


async def _final_head(
    protocol: ResponseHandler, message: RawResponseMessage
) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """Return the head that follows an interim response, or a number of them."""
    for _ in range(_MAX_INTERIM_RESPONSES):
        if message.code == 101:
            raise httpx.RemoteProtocolError("the upstream changed the protocol without being asked")
        if not 100 <= message.code <= 199:
            raise httpx.RemoteProtocolError(f"the status {message.code} does not exist")
        message, payload = await protocol.read()
        if 200 <= message.code <= 599:
            return message, payload
    raise httpx.RemoteProtocolError("the upstream sent too many interim responses")


def _may_repeat(request: Outgoing, exc: aiohttp.ClientError) -> bool:
    """Tell whether a request that met a stale connection may be sent once more."""
    if request.method not in _SAFE_METHODS or not isinstance(request.body, bytes):
        return False
    # aiohttp leaves text here unless it has seen the beginning of an answer.
    return not isinstance(exc, aiohttp.ServerDisconnectedError) or isinstance(exc.message, str)

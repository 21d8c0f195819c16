"""The proxy hop: one request to one upstream, and its answer."""

from __future__ import annotations

from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Self

import httpx

from gateway.protocol.target import check_target
from gateway.upstream.failures import NOT_SENT, UNREACHABLE, as_problem, deadline_exceeded
from gateway.upstream.locations import public_locations
from gateway.upstream.messages import ForwardedResponse
from gateway.upstream.request_headers import RequestHeaders
from gateway.upstream.response_headers import ResponseHeaders
from gateway.upstream.targets import Rotation, Target
from gateway.upstream.tls import tls_context
from portico.deadline import Deadline
from portico.problems import NOT_IMPLEMENTED, Problem
from portico.transport.pool import PooledTransport
from portico.transport.wire import Incoming, Outgoing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType

    from gateway.upstream.messages import Field, ForwardRequest
    from gateway.upstream.options import UpstreamOptions

# A body of a known length up to here is passed on whole, so that it can be checked and stored.
MAX_WHOLE_BYTES = 262_144
# The timers of event loops count in milliseconds, and some go off one early.
_TIMER_SECONDS = 0.002
_NO_BODY = frozenset({204, 304})
# CONNECT opens tunnels, and TRACE would send back what was added on the way.
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})


class Upstream:
    """A service behind the gateway, reached over a pool of connections.

    `transport` replaces the pool by another transport of httpx. Close with `aclose`.
    """

    __slots__ = (
        "_request_headers",
        "_response_headers",
        "_rotation",
        "_timeout",
        "_transport",
        "options",
    )

    def __init__(
        self, options: UpstreamOptions, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.options = options
        targets = [Target.parse(url) for url in options.urls]
        self._rotation = Rotation(targets, eject_seconds=options.eject_seconds)
        self._request_headers = RequestHeaders(options)
        self._response_headers = ResponseHeaders(options)
        self._timeout = {
            "connect": options.connect_seconds,
            "read": options.read_seconds,
            "write": options.write_seconds,
            "pool": options.pool_seconds,
        }
        self._transport = transport or _pool(options, targets)

    def __repr__(self) -> str:
        return f"<Upstream {self.options.name} {self._rotation!r} {self._transport!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def forward(self, request: ForwardRequest, *, derived_key: str = "") -> ForwardedResponse:
        """Send a request and return the answer; raise `Problem` if there is none to pass on.

        `derived_key` goes to the upstream as Idempotency-Key, instead of the client's.
        """
        if request.method in _REFUSED_METHODS:
            raise Problem(NOT_IMPLEMENTED, f"{request.method} is not forwarded")
        if (problem := check_target(request.path)) is not None:
            raise problem
        deadline = self._deadline(request)
        target, response = await self._send(request, deadline, derived_key)
        body = response.body
        try:
            fields, length = self._passed_on(request, target, response)
            if not isinstance(body, bytes):
                if not _is_small(length):
                    parts = _Parts(aiter(body), self.options.name)
                    return ForwardedResponse(response.status_code, fields, parts, body.aclose)
                body = b"".join([part async for part in body])
        except BaseException as exc:
            if not isinstance(body, bytes):
                await body.aclose()
            if isinstance(exc, httpx.TransportError):
                raise self._problem(exc, deadline) from exc
            raise
        if not length and request.method != "HEAD" and response.status_code not in _NO_BODY:
            fields.append((b"content-length", b"%d" % len(body)))
        return ForwardedResponse(response.status_code, fields, body)

    def _deadline(self, request: ForwardRequest) -> Deadline:
        now, at = monotonic(), request.deadline.at
        if at <= now:
            raise deadline_exceeded(self.options.name, sent=False)
        longest = now + self.options.total_seconds
        return request.deadline if at <= longest else Deadline(longest)

    async def _send(
        self, request: ForwardRequest, deadline: Deadline, derived_key: str
    ) -> tuple[Target, Incoming]:
        failure: httpx.TransportError | None = None
        for target in self._rotation.order():
            outgoing = self._outgoing(request, target, deadline, derived_key)
            try:
                response = await self._transport.handle_async_request(outgoing)
            except UNREACHABLE as exc:
                failure = exc
                if _is_up(deadline):
                    break  # a request in a hurry says nothing against the target
                # Nothing was sent, so the next one may have it, whatever the method is.
                self._rotation.eject(target)
            except httpx.TransportError as exc:
                raise self._problem(exc, deadline) from exc
            else:
                if isinstance(response, Incoming):
                    return target, response
                return target, Incoming.of(response)
        # There is at least one target, so there was a failure.
        failure = failure or httpx.ConnectError("no base URL")
        raise self._problem(failure, deadline) from failure

    def _outgoing(
        self, request: ForwardRequest, target: Target, deadline: Deadline, derived_key: str
    ) -> Outgoing:
        body = request.body
        return Outgoing(
            request.method,
            target.url,
            self._request_headers.build(request, target.authority, derived_key),
            body if isinstance(body, bytes) else _RequestStream(body),
            {
                "target": target.join(request.path, request.query),
                "timeout": self._timeout,
                "deadline": deadline,
            },
        )

    def _passed_on(
        self, request: ForwardRequest, target: Target, response: Incoming
    ) -> tuple[list[Field], bytes]:
        """Return the fields of the response, and its Content-Length if it has one."""
        version = response.extensions.get("http_version", b"HTTP/1.1")
        fields = self._response_headers.build(response.status_code, response.fields, version)
        known = dict(fields)
        if b"location" in known or b"content-location" in known:
            hosts = (target.authority.lower(), request.host.lower())
            fields = public_locations(
                fields, hosts=hosts, prefix=target.prefix, base_path=request.base_path
            )
        return fields, known.get(b"content-length", b"")

    def _problem(self, exc: httpx.TransportError, deadline: Deadline) -> Problem:
        name = self.options.name
        if isinstance(exc, NOT_SENT) and _is_up(deadline):
            return deadline_exceeded(name, sent=False)
        return as_problem(exc, name=name, retry_after=max(1, ceil(self.options.eject_seconds)))


def _is_up(deadline: Deadline) -> bool:
    """Tell whether a time-out was that of the deadline, as far as clocks can tell."""
    return deadline.remaining() < _TIMER_SECONDS


class _RequestStream(httpx.AsyncByteStream):
    """The body of a request, as httpx wants it."""

    __slots__ = ("_parts",)

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts


class _Parts:
    """The body of a response, with failures as problems."""

    __slots__ = ("_name", "_parts")

    def __init__(self, parts: AsyncIterator[bytes], name: str) -> None:
        self._parts = parts
        self._name = name

    def __aiter__(self) -> _Parts:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._parts)
        except httpx.TransportError as exc:
            raise as_problem(exc, name=self._name, retry_after=1) from exc


def _is_small(length: bytes) -> bool:
    # The number of digits first: Python refuses to read very long numbers.
    return length.isdigit() and len(length) < 10 and int(length) <= MAX_WHOLE_BYTES


def _pool(options: UpstreamOptions, targets: Iterable[Target]) -> PooledTransport:
    secure = any(target.url.scheme == "https" for target in targets)
    return PooledTransport(
        max_connections=options.max_connections,
        max_waiting=options.max_waiting,
        idle_seconds=options.idle_seconds,
        tls=tls_context(options) if secure else None,
    )

"""One request and its response, as the pipeline sees them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from time import monotonic
from typing import Any

from portico.problems import CONTENT_TOO_LARGE, MALFORMED_REQUEST, Problem
from portico.trace import Trace

Field = tuple[bytes, bytes]
# ASGI, as far as it concerns us; servers differ in how they type its messages.
Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# Fields whose meaning a second line would change or hide.
_SINGLE = frozenset(
    {b"host", b"content-type", b"content-length", b"content-encoding", b"idempotency-key"}
)


class ClientDisconnectedError(Exception):
    """The client went away before its request was read; nobody is left to answer."""


def new_request_id() -> str:
    """Return 16 hexadecimal digits: unlikely to repeat, not secret."""
    return f"{random.getrandbits(64):016x}"


class Exchange:
    """What is known of a request while it is handled. Made once per request, so slotted."""

    __slots__ = (
        "caller",
        "endpoint",
        "headers",
        "method",
        "parent",
        "peer",
        "query",
        "raw_headers",
        "raw_path",
        "receive",
        "request_id",
        "scope",
        "started",
        "trace",
        "trusted",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.started = monotonic()
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.raw_headers: list[Field] = scope["headers"]
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self.request_id = new_request_id()
        self.headers: dict[bytes, bytes] = {}
        self.trace: Trace | None = None
        self.parent = ""
        self.caller: Any = None
        self.endpoint: Any = None
        self.trusted = False  # whether another tier made the request

    def read_headers(self) -> dict[bytes, bytes]:
        """Return the header fields by name, the lines of one name joined (RFC 9110, 5.3).

        Raises Problem for a second line of a field that may be there once.
        """
        headers: dict[bytes, bytes] = {}
        for name, value in self.raw_headers:
            if name not in headers:
                headers[name] = value
            elif name in _SINGLE:
                raise Problem(MALFORMED_REQUEST, f"the header {name.decode()} is there twice")
            else:
                headers[name] += (b"; " if name == b"cookie" else b", ") + value
        self.headers = headers
        return headers

    def has_body(self) -> bool:
        length = self.headers.get(b"content-length")
        return length not in {None, b"0"} or b"transfer-encoding" in self.headers

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body; raises 413 when it is larger than `limit` bytes."""
        self.check_length(limit)
        message = await self.receive()
        if message["type"] != "http.request":
            raise ClientDisconnectedError
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return body if len(body) <= limit else _refuse(limit)
        return body + b"".join([chunk async for chunk in self._rest(limit, len(body))])

    async def stream_body(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises 413 once it is larger than `limit` bytes."""
        self.check_length(limit)
        async for chunk in self._rest(limit, 0):
            yield chunk

    def check_length(self, limit: int) -> None:
        """Raise 413 where Content-Length alone says that the body is too large."""
        length = self.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            _refuse(limit)

    async def _rest(self, limit: int, size: int) -> AsyncIterator[bytes]:
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientDisconnectedError
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                _refuse(limit)
            if chunk:
                yield chunk
            if not message.get("more_body"):
                return


def _refuse(limit: int) -> bytes:
    raise Problem(
        CONTENT_TOO_LARGE, f"the body may have {limit} bytes", extensions={"limitBytes": limit}
    )


class Response:
    """An answer ready to be sent: `body` is bytes, or an iterator to stream."""

    __slots__ = ("_is_sized", "aclose", "body", "headers", "media_type", "status")

    def __init__(
        self,
        status: int,
        body: bytes | AsyncIterator[bytes] = b"",
        media_type: str = "",
        headers: Iterable[Field] = (),
        aclose: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.media_type = media_type
        self.headers = list(headers)
        # Only an upstream's answer brings its own length.
        self._is_sized = any(name == b"content-length" for name, _ in self.headers)
        self.aclose = aclose

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send the response; `head` leaves out the body but not its length."""
        body = self.body
        headers = self.headers
        if self.media_type:
            headers.append((b"content-type", self.media_type.encode("latin-1")))
        if isinstance(body, bytes) and self.status not in {204, 304} and not self._is_sized:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": b"" if head else body})
            return
        await self._stream(body, send, head=head)

    async def _stream(self, body: AsyncIterator[bytes], send: Send, *, head: bool) -> None:
        try:
            if not head:
                async for chunk in body:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if self.aclose is not None:
                await asyncio.shield(self.aclose())

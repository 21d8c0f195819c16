"""One request and its response, as the pipeline sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from time import monotonic
from typing import Any

from gateway.content_coding import is_packed, unpacked
from gateway.identity.dpop import ProofUse
from gateway.protocol.cycle import CYCLE, Cycle
from portico.limits.verdict import Verdict
from portico.problems import CONTENT_TOO_LARGE, MALFORMED_REQUEST, Problem
from portico.trace import Trace, random_id

Field = tuple[bytes, bytes]
# ASGI, as far as it concerns us; servers differ in how they type its messages.
Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# Fields whose meaning a second line would change or hide.
_SINGLE = frozenset({b"host", b"content-type", b"content-length", b"content-encoding"})

# Fields that are about the packed body.
_OF_THE_PACKED = frozenset({b"content-encoding", b"content-length", b"content-digest"})
_DISCARDED_BYTES = 65_536  # less than the connection drops to be used again
_REQUEST_ID_BYTES = 8
# Statuses whose responses end with their header section (RFC 9110, 6.4.1).
_BARE = frozenset({204, 304})


class ClientDisconnectedError(Exception):
    """The client went away before its request was read; nobody is left to answer."""


class Exchange:
    """What is known of a request while it is handled. Made once per request, so slotted."""

    __slots__ = (
        "address",
        "caller",
        "consumed",
        "cycle",
        "endpoint",
        "headers",
        "method",
        "nonce",
        "packed",
        "parent",
        "peer",
        "proof_use",
        "query",
        "raw_headers",
        "raw_path",
        "receive",
        "request_id",
        "scope",
        "started",
        "trace",
        "trusted",
        "uploaded",
        "upstream_key",
        "verdict",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        # The server's own, where it is ours: reads and answers without messages.
        self.cycle: Cycle | None = scope.get(CYCLE)
        self.started = monotonic()
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.raw_headers: list[Field] = scope["headers"]
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self.address = self.peer  # the client's, which a trusted proxy may tell
        self.request_id = random_id(_REQUEST_ID_BYTES)
        self.headers: dict[bytes, bytes] = {}
        self.trace: Trace | None = None
        self.parent = ""
        self.caller: Any = None
        self.endpoint: Any = None
        self.consumed = False  # whether the body was read to its end
        self.packed = False  # whether what is read of the body is gzip
        self.nonce = ""  # what the next DPoP proof of the client should have
        self.upstream_key = ""  # what an upstream gets instead of the client's Idempotency-Key
        self.proof_use: ProofUse | None = None  # what is to be noted of its DPoP proof
        self.trusted = False  # whether another tier made the request
        self.verdict: Verdict | None = None  # of its limits, while it holds what they granted
        self.uploaded: asyncio.Event | None = None  # set when no more of the body is passed on

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

    def content_length(self) -> int:
        """Return the length that the request declares, 0 where it declares none."""
        length = self.headers.get(b"content-length", b"")
        return int(length) if length.isdigit() else 0

    def leaves_body(self) -> bool:
        """Tell whether more of the body is unread than is worth reading only to drop it."""
        small = b"content-length" in self.headers and self.content_length() <= _DISCARDED_BYTES
        return not self.consumed and not small and self.has_body()

    def whole_body(self, limit: int) -> bytes | None:
        """Return the body if all of it is here; raises 413 when it is larger than `limit` bytes."""
        whole = None if self.cycle is None else self.cycle.whole_body()
        if whole is None:
            return None
        self.consumed = True
        return whole if len(whole) <= limit else _refuse(limit)

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body as it arrives; raises 413 when it is larger than `limit` bytes."""
        self.check_length(limit)
        message = await self.receive()
        if message["type"] != "http.request":
            raise ClientDisconnectedError
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            self.consumed = True
            return body if len(body) <= limit else _refuse(limit)
        return body + b"".join([chunk async for chunk in self._rest(limit, len(body))])

    def note_coding(self) -> None:
        """Note that the body has to be unpacked; raises 415 where that is not possible."""
        self.packed = is_packed(self.headers.pop(b"content-encoding"))

    async def unpack(self, body: bytes, limit: int) -> bytes:
        """Return what a packed body holds; raises 400 and 413."""
        # Nothing that follows knows of the packing; a digest was of the packed bytes (RFC 9530).
        self.raw_headers = [each for each in self.raw_headers if each[0] not in _OF_THE_PACKED]
        return await unpacked(body, limit)

    async def stream_body(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises 413 once it is larger than `limit` bytes."""
        self.check_length(limit)
        self.uploaded = asyncio.Event()
        try:
            async for chunk in self._rest(limit, 0):
                yield chunk
        finally:
            self.uploaded.set()

    async def left(self) -> None:
        """Return when the client has gone; what is left of a body that nobody reads is dropped."""
        if self.uploaded is not None:
            # The upload takes the messages until then, and fails by itself when the client goes.
            await self.uploaded.wait()
        while (await self.receive())["type"] == "http.request":
            pass

    def check_length(self, limit: int) -> None:
        """Raise 413 where Content-Length alone says that the body is too large."""
        if self.content_length() > limit:
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
                self.consumed = True
                return


def _refuse(limit: int) -> bytes:
    raise Problem(
        CONTENT_TOO_LARGE, f"the body may have {limit} bytes", extensions={"limitBytes": limit}
    )


class Response:
    """An answer ready to be sent: `body` is bytes, or an iterator to stream."""

    __slots__ = (
        "_is_described",
        "_is_sized",
        "aclose",
        "body",
        "headers",
        "media_type",
        "sent_bytes",
        "status",
    )

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
        self._is_sized = b"content-length" in dict(self.headers)
        self._is_described = False
        self.sent_bytes = 0  # of the body
        self.aclose = aclose

    def respond(self, cycle: Cycle) -> bool:
        """Send a response that is whole in one step; tell whether that could be done.

        Then it is still to be closed.
        """
        body = self.body
        if not isinstance(body, bytes):
            return False
        self._describe(head=False)
        self.sent_bytes = len(body)
        return cycle.respond(self.status, self.headers, body)

    async def send(
        self, send: Send, *, head: bool = False, left: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Send the response; `head` leaves out the body but not its length.

        `left` returns when the client has gone: then a stream is given up.
        """
        body: bytes | AsyncIterator[bytes] = b"" if self.status in _BARE else self.body
        self._describe(head=head)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        try:
            if head:
                await send({"type": "http.response.body", "body": b""})
            elif isinstance(body, bytes):
                self.sent_bytes = len(body)
                await send({"type": "http.response.body", "body": body})
            else:
                await _until(self._stream(body, send), left)
        finally:
            if self.aclose is not None:
                await asyncio.shield(self.aclose())

    async def _stream(self, body: AsyncIterator[bytes], send: Send) -> None:
        async for chunk in body:
            self.sent_bytes += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _describe(self, *, head: bool) -> None:
        """Complete the header section with what it says about the body."""
        if self._is_described:
            return
        self._is_described = True
        if self.media_type:
            self.headers.append((b"content-type", self.media_type.encode("latin-1")))
        if self.status in _BARE:
            if self._is_sized:
                # A length without a body would keep the server waiting for the rest.
                self.headers = [field for field in self.headers if field[0] != b"content-length"]
        elif isinstance(self.body, bytes) and not self._is_sized and (self.body or not head):
            self.headers.append((b"content-length", b"%d" % len(self.body)))


async def _until(
    work: Coroutine[Any, Any, None], ended: Callable[[], Awaitable[None]] | None
) -> None:
    """Run `work` to its end, or cancel it when `ended` returns before."""
    if ended is None:
        await work
        return
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(ended())
    try:
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
        working.cancel()
        results = await asyncio.gather(working, ending, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]

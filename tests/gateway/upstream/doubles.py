"""Upstreams that behave as their script says, byte by byte, and requests for them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from gateway.upstream.messages import ForwardedResponse, ForwardRequest
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.upstream import Upstream
from portico.deadline import Deadline
from portico.trace import Trace

if TYPE_CHECKING:
    import ssl

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7", 0x01)

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: chunked", re.IGNORECASE)


class Wire:
    """The upstream's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        """Return the next request up to the empty line."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        """Return the next request as it came, framing included."""
        head = await self.head()
        if _CHUNKED.search(head):
            body = await self._reader.readuntil(b"0\r\n\r\n")
        else:
            length = _LENGTH.search(head)
            body = await self._reader.readexactly(int(length[1]) if length else 0)
        return head + body

    async def read(self, size: int) -> bytes:
        return await self._reader.readexactly(size)

    async def send(self, *parts: bytes, every: float = 0.0) -> None:
        """Send the parts one by one."""
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()
            await asyncio.sleep(every)

    async def rest(self) -> bytes:
        """Return what comes until the other end closes."""
        return await self._reader.read()

    async def is_closed(self) -> bool:
        """Wait until the other end closes."""
        try:
            return await self._reader.read(1) == b""
        except ConnectionError:
            return True

    def shrink_send_buffer(self) -> None:
        """Let the kernel hold little, so that back-pressure comes soon."""
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)

    def reset(self) -> None:
        """End the connection as a crash does."""
        linger = struct.pack("ii", 1, 0)
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    def _socket(self) -> socket.socket:
        transport_socket: socket.socket = self._writer.get_extra_info("socket")
        return transport_socket


Script = Callable[[Wire], Awaitable[None]]


class Double:
    """A server on loopback that runs one script per connection, the last one again and again."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._tasks: set[asyncio.Task[Any]] = set()
        self.connections = 0
        self.url = ""

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        task = asyncio.create_task(self._run(script, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)  # a script that failed is kept for `stop`

    async def _run(
        self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await script(Wire(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway ended the connection, as some tests want
        finally:
            writer.close()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


@contextlib.asynccontextmanager
async def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Double]:
    """Run a double on a free port."""
    double = Double(*scripts)
    listener = socket.create_server(("127.0.0.1", 0))
    # Connections inherit this; with the default the kernel would swallow megabytes.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    server = await asyncio.start_server(double, sock=listener, ssl=tls)
    port = listener.getsockname()[1]
    double.url = f"http{'s' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{port}"
    try:
        yield double
    finally:
        server.close()
        await double.stop()


def answering(*answers: bytes) -> Script:
    """Return a script that reads a request and sends an answer, for as many as there are."""

    async def script(wire: Wire) -> None:
        for answer in answers:
            await wire.request()
            await wire.send(answer)
        await wire.is_closed()

    return script


def always(answer: bytes = OK) -> Script:
    """Return a script that gives one answer to every request."""

    async def script(wire: Wire) -> None:
        while True:
            method = (await wire.request()).partition(b" ")[0]
            head, end, body = answer.partition(b"\r\n\r\n")
            await wire.send(head + end + (b"" if method == b"HEAD" else body))

    return script


def upstream(*urls: str, **options: Any) -> Upstream:
    """Return an upstream named `billing`."""
    return Upstream(UpstreamOptions(name="billing", urls=urls, **options))


def request(
    method: str = "GET",
    path: bytes = b"/items",
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    body: bytes | AsyncIterator[bytes] = b"",
    seconds: float = 5.0,
    **others: Any,
) -> ForwardRequest:
    """Return a request of a client at 192.0.2.1."""
    known: dict[str, Any] = {
        "query": b"",
        "peer": "192.0.2.1",
        "scheme": "https",
        "host": b"api.example.com",
        "trace": TRACE,
    }
    return ForwardRequest(
        method=method,
        path=path,
        headers=headers,
        body=body,
        deadline=Deadline.after(seconds),
        **{**known, **others},
    )


async def whole(response: ForwardedResponse) -> bytes:
    """Return the body of a response to its end."""
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([part async for part in response.body])


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

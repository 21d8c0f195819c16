"""A tiny application behind the protocol, and a client that sends and reads raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.protocol.cycle import REQUEST_ID
from gateway.protocol.gate import Gate
from gateway.protocol.limits import ProtocolLimits
from gateway.protocol.listening import bind
from gateway.protocol.serve import DrainingServer, ServeEvents, run, server_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.protocol.refusal import Refusal

PROBLEM = "application/problem+json"
QUICK = ProtocolLimits(
    header_seconds=0.3,
    progress_seconds=0.3,
    progress_bytes=64,
    idle_seconds=0.6,
    linger_seconds=0.3,
    tick_seconds=0.02,
)
"""Limits whose times pass within a test; the sizes are the defaults."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request whose body the application has read to its end."""

    method: str
    raw_path: bytes
    body: bytes
    headers: list[tuple[bytes, bytes]]


@dataclass
class App:
    """Answers 200 with its path, and behaves badly where the path asks for it."""

    seen: list[Seen] = field(default_factory=list)
    scopes: list[dict[str, Any]] = field(default_factory=list)
    disconnects: int = 0
    running: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.running += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.running -= 1

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/early":
            await respond(send, 413, b"too large")
            return
        if path == "/named":
            scope[REQUEST_ID] = "0123abcd"
            raise RuntimeError("after taking a request id")
        if path == "/raise":
            raise RuntimeError("a secret that must not leave")
        body = await self._body(receive)
        if body is None:
            return
        self.seen.append(Seen(scope["method"], scope["raw_path"], body, scope["headers"]))
        if path == "/nothing":
            return
        if path == "/cut":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("after the start")
        if path == "/stream":
            await stream(send, [b"one", b"two"])
            return
        if path == "/flood":
            await stream(send, [bytes(1 << 20)] * 64)
            return
        if path == "/wait":
            await asyncio.to_thread(self.gate.wait, 10)
        await respond(send, 200, scope["raw_path"])

    async def _body(self, receive: Any) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return None
            body.extend(message["body"])
            if not message["more_body"]:
                return bytes(body)


async def respond(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Any, parts: list[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


@dataclass(frozen=True, slots=True)
class Served:
    """A server on a thread of its own."""

    port: int
    app: App
    gate: Gate
    refusals: list[Refusal]


@contextlib.contextmanager
def serving(limits: ProtocolLimits = QUICK) -> Iterator[Served]:
    """Serve an `App` on a free port of loopback with real sockets and uvloop."""
    app, refusals = App(), list[Any]()
    gate = Gate(limits, on_refusal=refusals.append)
    sock = bind("127.0.0.1", 0)
    server = DrainingServer(server_config(app, gate), gate, ServeEvents())

    async def main() -> int:
        await server.serve(sockets=[sock])
        server.abandon()
        return 0

    port = sock.getsockname()[1]
    thread = threading.Thread(target=lambda: run(main()))
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
        yield Served(port, app, gate, refusals)
    finally:
        app.gate.set()
        server.should_exit = server.force_exit = True
        thread.join(10)
        sock.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def slug(self) -> str:
        """Return the slug of the problem; fail if the body is not one."""
        assert self.headers["content-type"] == PROBLEM, self
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["instance"].startswith("urn:portico:request:")
        slug: str = problem["type"].rsplit("/", 1)[1]
        return slug


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; the server runs on a thread of its own."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def until_closed(sock: socket.socket) -> bytes:
    """Return what arrives until the other side closes; a reset counts as closing."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65_536):
            data += chunk
    return data


def read_answer(sock: socket.socket) -> Answer:
    """Return the next response on a connection that stays open; it must have a length."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _exactly(sock, 1)
    status, headers = _fields(head)
    return Answer(status, headers, _exactly(sock, int(headers["content-length"])))


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError(data)
        data += chunk
    return data


def ask(port: int, *chunks: bytes) -> list[Answer]:
    """Send the chunks on one connection and return all answers, until the server closes."""
    with connect(port) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for chunk in chunks:
                sock.sendall(chunk)
        return answers(until_closed(sock))


def answers(data: bytes) -> list[Answer]:
    """Return the responses in a stream of bytes; fail if they are not framed."""
    found = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        assert separator, data
        status, headers = _fields(head)
        if headers.get("transfer-encoding") == "chunked":
            body, data = _chunks(rest)
        else:
            length = int(headers.get("content-length", len(rest)))
            assert len(rest) >= length, data
            body, data = rest[:length], rest[length:]
        found.append(Answer(status, headers, body))
    return found


def _fields(head: bytes) -> tuple[int, dict[str, str]]:
    status, *lines = head.decode("latin-1").strip().split("\r\n")
    assert status.startswith("HTTP/1.1 "), status
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name not in headers, line
        headers[name] = value
    return int(status.split()[1]), headers


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body += data[:length]
        assert data[length : length + 2] == b"\r\n", data
        data = data[length + 2 :]
        if not length:
            return body, data


def request(
    method: str = "GET", target: str = "/ok", *lines: str, body: bytes = b"", version: str = "1.1"
) -> bytes:
    """Return a well-formed request of HTTP/1.1 unless a line or the version says otherwise."""
    fields = [f"{method} {target} HTTP/{version}", "Host: portico.test", *lines]
    if body:
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join(fields).encode("latin-1") + b"\r\n\r\n" + body

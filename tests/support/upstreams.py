"""A real upstream on loopback: uvicorn with an application that answers as a test asks."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn

PET = {"name": "Rex", "tag": None, "age": 3}
LARGE = {"name": "Rex", "tag": "x" * 200_000}
_SECONDS = 10.0


@dataclass(slots=True)
class Upstream:
    """What the application saw, and what lets it go on."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    step: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    chunks: list[int] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.seen.append(
            {
                "method": scope["method"],
                "target": scope["raw_path"].decode()
                + (f"?{scope['query_string'].decode()}" if scope["query_string"] else ""),
                "headers": [
                    (name.decode(), value.decode("latin-1")) for name, value in scope["headers"]
                ],
            }
        )
        path = scope["path"].removeprefix("/api")
        answer = _ANSWERS.get(path) or _ANSWERS["/" + path.split("/")[1]]
        await answer(self, scope, receive, send)

    def fields(self) -> dict[str, str]:
        """Return the header fields of the last request."""
        return dict(self.seen[-1]["headers"])


Answer = Callable[[Upstream, Any, Any, Any], Awaitable[None]]


async def respond(
    send: Any,
    body: object = b"",
    status: int = 200,
    media_type: str = "application/json",
    headers: Any = (),
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [(name.encode(), value.encode()) for name, value in headers]
    if media_type:
        fields.append((b"content-type", media_type.encode()))
    if status not in {204, 304}:
        fields.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


def _fixed(*arguments: Any, **options: Any) -> Answer:
    async def answer(_: Upstream, scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await respond(send, *arguments, **options)

    return answer


async def _echo(upstream: Upstream, scope: Any, receive: Any, send: Any) -> None:
    del receive
    if scope["method"] == "DELETE":
        await respond(send, status=204, media_type="")
        return
    await respond(send, upstream.seen[-1], headers=[("Connection", "x-hop"), ("X-Hop", "1")])


async def _add(_: Upstream, scope: Any, receive: Any, send: Any) -> None:
    del scope
    message = await receive()
    await respond(send, message["body"], 201)


async def _conditional(_: Upstream, scope: Any, receive: Any, send: Any) -> None:
    del receive
    if any(name == b"if-none-match" for name, _ in scope["headers"]):
        await respond(send, status=304, media_type="", headers=[("ETag", '"1"')])
        return
    await respond(send, PET, headers=[("ETag", '"1"')])


async def _file(upstream: Upstream, scope: Any, receive: Any, send: Any) -> None:
    if scope["method"] == "GET":
        await respond(send, b"\x00\xff" * 10, media_type="application/octet-stream")
        return
    digest, size, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            upstream.left.set()
            return
        more = message["more_body"]
        digest.update(message["body"])
        size += len(message["body"])
        upstream.chunks.append(len(message["body"]))
    await respond(send, {"bytes": size, "sha256": digest.hexdigest()})


async def _events(upstream: Upstream, scope: Any, receive: Any, send: Any) -> None:
    """Send an event, and the next one only when the test has seen it."""
    del receive
    if scope["method"] == "HEAD":
        await respond(send, media_type="text/event-stream")
        return
    media_type = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": media_type})
    for number in range(1, 4):
        body = b"data: %d\n\n" % number
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if not await asyncio.to_thread(upstream.step.wait, _SECONDS):
            break
        upstream.step.clear()
    await send({"type": "http.response.body", "body": b""})


async def _endless(upstream: Upstream, scope: Any, receive: Any, send: Any) -> None:
    del scope
    media_type = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": media_type})
    await receive()
    leaving = asyncio.ensure_future(receive())
    while not leaving.done():
        await send({"type": "http.response.body", "body": b"data\n\n", "more_body": True})
        await asyncio.sleep(0.01)
    upstream.left.set()


async def _cut(_: Upstream, scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    fields = [(b"content-type", b"application/json"), (b"content-length", b"400000")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b'{"name": "', "more_body": True})
    raise ConnectionError("the upstream breaks off")


async def _slow(_: Upstream, scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    await asyncio.sleep(1.5)
    await respond(send, PET)


_GZIP = gzip.compress(json.dumps({"name": 5}).encode())
_PROBLEM = {"type": "https://pets.example/gone", "title": "Gone", "status": 404, "detail": "ate it"}
_ANSWERS: dict[str, Answer] = {
    "/pets/rex": _fixed(PET, headers=[("X-Rate", "5"), ("Access-Control-Allow-Origin", "*")]),
    "/pets/wrong": _fixed({"name": 5, "tag": None}),
    "/pets/zero": _fixed({"name": "Rex", "tag": None, "age": 0}),
    "/pets/broken": _fixed(b'{"name": '),
    "/pets/empty": _fixed(b""),
    "/pets/html": _fixed(b"<p>", media_type="text/html"),
    "/pets/gone": _fixed(_PROBLEM, 404, "application/problem+json"),
    "/pets/teapot": _fixed({"short": True}, 418),
    "/pets/moved": _fixed(b"", 302, "", [("Location", "/api/pets/rex")]),
    "/pets/rate": _fixed(PET, headers=[("X-Rate", "many")]),
    "/pets/links": _fixed(PET, headers=[("Link", "<a>"), ("Link", "<b>")]),
    "/pets/longlinks": _fixed(PET, headers=[("Link", f"<{'a' * 40}>"), ("Link", "<b>")]),
    "/pets/large": _fixed(LARGE),
    "/pets/coded": _fixed(_GZIP, headers=[("Content-Encoding", "gzip")]),
    "/pets/conditional": _conditional,
    "/pets/cut": _cut,
    "/pets/slow": _slow,
    "/pets": _add,
    "/files": _file,
    "/events": _events,
    "/endless": _endless,
    "/echo": _echo,
    "/open": _fixed({"open": True}),
    "/kept": _fixed({"open": True}, headers=[("Cache-Control", "public, max-age=60")]),
}


@contextlib.contextmanager
def running() -> Iterator[Upstream]:
    """Run the application on a thread."""
    upstream = Upstream()
    sock = socket.create_server(("127.0.0.1", 0))
    upstream.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    config = uvicorn.Config(
        upstream, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        upstream.step.set()
        server.should_exit = True
        thread.join(_SECONDS)
        sock.close()

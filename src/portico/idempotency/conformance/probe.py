"""Sending requests to the API under test, and what comes back."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

UNIQUE = "{{unique}}"
_MAX_BODY_BYTES = 16 * 1024 * 1024
_FIRST_PAUSE_SECONDS = 0.1
# What a replay must have as the first response had it, besides status and body.
COMPARED = ("content-type", "location", "etag", "content-language", "last-modified")

Lines = Sequence[tuple[str, str]]


class CannotProbeError(Exception):
    """The API cannot be tested: what happened, and what to do."""

    def __init__(self, cause: str, hint: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The operation under test. In its body `{{unique}}` is something new for each request."""

    url: str
    method: str = "POST"
    body: str = ""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    # Header fields of another client, in place of those with the same name.
    other_client: tuple[tuple[str, str], ...] = ()
    other_body: str = ""
    invalid_body: str | None = None
    other_url: str = ""
    # A resource that tells how many there are, and where: a JSON pointer to a number or an array.
    count_url: str = ""
    count_pointer: str = ""
    key_required: bool = True
    parallel: int = 20
    rounds: int = 3
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response of the API under test."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def replayed(self) -> bool:
        return str(self.headers.get("idempotent-replayed", "")).lower() == "true"

    @property
    def location(self) -> str:
        return str(self.headers.get("location", ""))

    def differences(self, other: Reply) -> list[str]:
        """Return what differs between two responses that should be the same."""
        found = []
        if self.status != other.status:
            found.append(f"status {self.status} became {other.status}")
        for name in COMPARED:
            ours, theirs = self.headers.get(name), other.headers.get(name)
            if ours != theirs:
                found.append(f"{name} {ours!r} became {theirs!r}")
        if self.body != other.body:
            found.append(f"the body changed from {_short(self.body)} to {_short(other.body)}")
        return found

    def describe(self) -> str:
        text = f"{self.status}"
        if not self.ok and self.body:
            text += f" {_short(self.body)}"
        return text


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `key` is the raw value of the header field, `keys` more lines of it."""

    body: str
    keys: tuple[str | bytes, ...] = ()
    headers: Mapping[str, str | None] = field(default_factory=dict)
    url: str = ""
    method: str = ""
    content_type: str = ""

    def changed(self, **changes: Any) -> Request:
        return replace(self, **changes)


class Probe:
    """Sends requests as the target says, each over a connection of its own where that matters."""

    def __init__(self, target: Target, http: httpx.AsyncClient) -> None:
        self.target = target
        self._http = http
        self.sent = 0

    def new_key(self) -> str:
        return f'"{uuid.uuid4()}"'

    def new_request(self, *keys: str | bytes, body: str = "") -> Request:
        """Return a request that creates something new."""
        filled = (body or self.target.body).replace(UNIQUE, uuid.uuid4().hex[:12])
        return Request(filled, keys)

    def another_body(self) -> str | None:
        """Return a body that asks for something else, None where there is no telling."""
        if self.target.other_body:
            return self.target.other_body.replace(UNIQUE, uuid.uuid4().hex[:12])
        if UNIQUE in self.target.body:
            return self.new_request().body
        return None

    async def send(self, request: Request) -> Reply:
        """Return the response; raises CannotProbeError when there is none."""
        self.sent += 1
        try:
            async with self._http.stream(
                request.method or self.target.method,
                request.url or self.target.url,
                headers=self._headers(request),
                content=request.body.encode() or None,
            ) as response:
                body = await _read(response)
        except httpx.HTTPError as error:
            raise CannotProbeError(
                f"{self.target.url} does not answer: {type(error).__name__} {error}".rstrip(),
                "start the API, or correct the address",
            ) from error
        return Reply(status=response.status_code, headers=response.headers, body=body)

    async def send_together(self, requests: Sequence[Request]) -> list[Reply]:
        return list(await asyncio.gather(*map(self.send, requests)))

    async def settle(self, request: Request) -> Reply:
        """Return the response once it is no longer 409: the first attempt has ended then."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.target.timeout_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            reply = await self.send(request)
            if reply.status != 409 or loop.time() + pause > until:
                return reply
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def send_and_go_away(self, request: Request, seconds: float) -> None:
        """Send a request and close the connection before the response is read."""
        task = asyncio.create_task(self.send(request))
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def count(self) -> int | None:
        """Return how many things there are, None where the target does not say how to know."""
        if not self.target.count_url:
            return None
        reply = await self.send(Request("", url=self.target.count_url, method="GET"))
        try:
            found = json.loads(reply.body)
            for name in self.target.count_pointer.strip("/").split("/"):
                if name:
                    found = found[int(name)] if isinstance(found, list) else found[name]
        except (ValueError, KeyError, IndexError, TypeError):
            found = None
        if isinstance(found, list):
            return len(found)
        if isinstance(found, int):
            return found
        raise CannotProbeError(
            f"{self.target.count_url} answered {reply.status} without a number or an array at "
            f"{self.target.count_pointer or 'its root'}",
            "correct --count-url and --count-pointer",
        )

    def _headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        changed = {name.lower(): value for name, value in request.headers.items()}
        lines = [
            (name.encode(), value.encode())
            for name, value in self.target.headers
            if name.lower() not in changed
        ]
        lines += [(name.encode(), value.encode()) for name, value in changed.items() if value]
        if request.body and "content-type" not in changed:
            content_type = request.content_type or self.target.content_type
            lines.append((b"Content-Type", content_type.encode()))
        for key in request.keys:
            raw = key if isinstance(key, bytes) else key.encode()
            lines.append((b"Idempotency-Key", raw))
        return lines


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise CannotProbeError(
                "a response has more than 16 MiB", "choose an operation with a small response"
            )
    return bytes(body)


def _short(body: bytes) -> str:
    text = body[:120].decode("utf-8", "replace").replace("\n", " ")
    return f"{text}…" if len(body) > 120 else text

"""What can be made to go wrong, and the middleware that makes it."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Callable
from time import monotonic

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.sandbox.system import SystemSandbox

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Faults(BaseModel):
    """The faults of one system, all of them off. Numbers are of requests that are still to meet it.

    `lost_responses` and `held_responses` count writes only: they take effect, and then the
    connection is reset, or nothing comes any more. `no_access` and `read_only` name what
    the credential may not do, as the vendor names it. `for_seconds` ends them all by itself.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    latency_seconds: float = Field(default=0.0, ge=0, le=60)
    throttled: int = Field(default=0, ge=0)
    retry_after_seconds: float | None = Field(default=None, ge=0)
    unavailable_seconds: float = Field(default=0.0, ge=0, le=3600)
    resets: int = Field(default=0, ge=0)
    lost_responses: int = Field(default=0, ge=0)
    held_responses: int = Field(default=0, ge=0)
    webhooks_twice: bool = False
    webhooks_out_of_order: bool = False
    no_access: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    for_seconds: float | None = Field(default=None, gt=0, le=3600)


class FaultyApp:
    """A sandbox, with what was asked to go wrong going wrong, and its state committed in time."""

    def __init__(self, sandbox: SystemSandbox, clock: Callable[[], float] = monotonic) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self._unavailable_until = 0.0
        self._until = math.inf
        self.faults = Faults()
        self.requests = 0

    def set(self, faults: Faults) -> None:
        """Let these go wrong from now on, and nothing else; raises UnknownResourceError."""
        self._sandbox.permissions.take(no_access=faults.no_access, read_only=faults.read_only)
        self.faults = faults
        now = self._clock()
        self._unavailable_until = now + faults.unavailable_seconds
        self._until = math.inf if faults.for_seconds is None else now + faults.for_seconds
        if self._sandbox.webhooks is not None:
            self._sandbox.webhooks.twice = faults.webhooks_twice
            self._sandbox.webhooks.out_of_order = faults.webhooks_out_of_order

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.requests += 1
        if self._clock() >= self._until:
            self.set(Faults())
        faults = self.faults
        if faults.latency_seconds:
            await asyncio.sleep(faults.latency_seconds)
        if faults.resets:
            faults.resets -= 1
            await _reset(receive, send)
            return
        writes = scope["method"] not in _SAFE_METHODS
        answer: ASGIApp = self._sandbox.app
        if self._clock() < self._unavailable_until:
            answer = self._sandbox.unavailable()
        elif faults.throttled and scope["path"] not in self._sandbox.unlimited_paths:
            faults.throttled -= 1
            answer = self._sandbox.throttled(faults.retry_after_seconds)
        elif writes and (faults.lost_responses or faults.held_responses):
            await answer(scope, receive, _nowhere)
            self._sandbox.state.commit()
            await self._withhold(receive, send)
            return
        await answer(scope, receive, self._committing(send) if writes else send)

    async def _withhold(self, receive: Receive, send: Send) -> None:
        """Let nobody hear of a change that took effect."""
        if self.faults.lost_responses:
            self.faults.lost_responses -= 1
            await _reset(receive, send)
            return
        self.faults.held_responses -= 1
        await _disconnected(receive)

    def _committing(self, send: Send) -> Send:
        """Return a send that writes the state before anybody hears of a change."""

        async def committing(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._sandbox.state.commit()
            await send(message)

        return committing


async def _nowhere(_message: Message) -> None:
    pass


async def _reset(receive: Receive, send: Send) -> None:
    """Reset the connection, as a server does that dies."""
    # ASGI has no word for it; uvicorn's `send` is a method of an object that has the transport.
    transport = send.__self__.transport  # type: ignore[attr-defined]  # see above
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

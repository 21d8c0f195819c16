"""Webhooks of a sandbox: signed as the vendor signs, delivered, and delivered badly if asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from portico.transport.tls import client_context

# How long deliveries are collected that are to arrive out of order.
GATHER_SECONDS = 0.2
# The waits before further attempts; the real ones go on for days.
RETRY_SECONDS = (0.2, 0.5, 1.0)
TIMEOUT_SECONDS = 5.0

# Returns the header fields that a message carries: the secret and the body go in.
Sign = Callable[[str, bytes], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Somebody who wants to hear."""

    url: str
    secret: str


class Webhooks:
    """Delivers messages to the endpoints while it runs."""

    def __init__(self, sign: Sign) -> None:
        self.endpoints: list[Endpoint] = []
        self.twice = False
        self.out_of_order = False
        self._sign = sign
        self._queue: asyncio.Queue[tuple[Endpoint, bytes]] = asyncio.Queue(maxsize=10_000)

    def publish(self, body: bytes) -> None:
        """Queue a message for every endpoint; while nobody listens it is dropped."""
        for endpoint in self.endpoints:
            with contextlib.suppress(asyncio.QueueFull):
                self._queue.put_nowait((endpoint, body))

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with (
            httpx.AsyncClient(
                verify=client_context(), timeout=TIMEOUT_SECONDS, trust_env=False
            ) as http,
            asyncio.TaskGroup() as deliveries,
        ):
            while True:
                for endpoint, body in await self._next():
                    deliveries.create_task(self._deliver(http, endpoint, body))
                    if self.out_of_order:
                        # The order is that of the list only if one is sent before the next.
                        await asyncio.sleep(GATHER_SECONDS / 10)

    async def _next(self) -> list[tuple[Endpoint, bytes]]:
        messages = [await self._queue.get()]
        if self.out_of_order:
            await asyncio.sleep(GATHER_SECONDS)
        while not self._queue.empty():
            messages.append(self._queue.get_nowait())
        if self.out_of_order:
            messages.reverse()
        return messages * 2 if self.twice else messages

    async def _deliver(self, http: httpx.AsyncClient, endpoint: Endpoint, body: bytes) -> None:
        for wait in (*RETRY_SECONDS, None):
            # Signed anew each time, because the signature has the time in it.
            signature = self._sign(endpoint.secret, body)
            headers = {"content-type": "application/json; charset=utf-8", **signature}
            with contextlib.suppress(httpx.HTTPError):
                response = await http.post(endpoint.url, content=body, headers=headers)
                if response.is_success:
                    return
            if wait is not None:
                await asyncio.sleep(wait)

    def __repr__(self) -> str:
        return f"<Webhooks to {len(self.endpoints)} endpoints, {self._queue.qsize()} queued>"

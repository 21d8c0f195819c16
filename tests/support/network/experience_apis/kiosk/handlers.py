"""The operations of kiosk.v1."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from portico.limits.async_limiter import AsyncLimiter
from portico.server.call import Call, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

limiter = AsyncLimiter()
finished: list[str] = []
"""What ran to its end, for tests in the same process."""


async def relay(call: Call[None], *, body: Any, idempotency_key: str = "") -> object:
    """Pass the description of a call on to the process tier."""
    del idempotency_key
    return (await call.invoke("process/basket.v1", "relay", body=body)).body


async def get_public(call: Call[None]) -> dict[str, str]:
    return {"client": call.caller.client_id}


@limiter.limit("3/hour")
async def get_scarce(call: Call[None]) -> dict[str, str]:
    return {"client": call.caller.client_id}


async def get_mixed(call: Call[None]) -> dict[str, str]:
    return {"client": call.caller.client_id}


async def choose(
    call: Call[None], *, choice: str, limit: int | None = None, x_color: str = ""
) -> Reply:
    del call
    body = {"choice": choice, "limit": limit, "color": x_color}
    return Reply(body=body, headers=[("ETag", '"1"')])


async def add_note(call: Call[None], *, body: Any, idempotency_key: str) -> Reply:
    note = {**body, "key": idempotency_key, "client": call.caller.client_id}
    return Reply(status=201, body=note, headers=[("Location", "notes/1")])


async def slow(call: Call[None], *, seconds: float) -> dict[str, str]:
    await asyncio.sleep(seconds)
    finished.append(call.request_id)
    return {}


async def crash(call: Call[None]) -> dict[str, str]:
    del call
    raise KeyError("a secret that must not leave")


async def tick(call: Call[None], *, parts: int) -> Reply:
    return Reply(body=_ticks(call, parts), media_type="text/event-stream")


async def _ticks(call: Call[None], parts: int) -> AsyncIterator[bytes]:
    """Yield one event after the other; zero parts never end."""
    number = 0
    try:
        while not parts or number < parts:
            number += 1
            yield b"data: %d\n\n" % number
            await asyncio.sleep(0.01)
    finally:
        finished.append(call.request_id)

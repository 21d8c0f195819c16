"""A process that serves, for the tests of signals; prints what happens, one word a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from gateway.protocol.limits import ProtocolLimits
from gateway.protocol.serve import ServeEvents, run, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def say(word: str) -> None:
    print(word, flush=True)  # noqa: T201  # the parent reads it


async def app(scope: Any, _receive: Any, send: Any) -> None:
    say(f"asked {scope['path']}")
    await asyncio.sleep(float(scope["query_string"] or b"0"))
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def lifespan(start_seconds: float, leave_seconds: float) -> AsyncIterator[None]:
    try:
        say("starting")
        await asyncio.sleep(start_seconds)
        yield
    finally:
        await stubbornly(leave_seconds)
        say("left")


async def stubbornly(seconds: float) -> None:
    """Wait like clean-up that does not let itself be cancelled."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(ends - time.monotonic())


def main() -> int:
    """Serve as the JSON argument says and return the exit code."""
    options = json.loads(sys.argv[1])
    start, leave = options.pop("start", 0.0), options.pop("leave", 0.0)
    events = ServeEvents(
        bound=lambda host, port: say(f"bound {host} {port}"),
        ready=lambda: say("ready"),
        draining=lambda: say("draining"),
    )
    return run(
        serve(
            app,
            host="127.0.0.1",
            port=0,
            limits=ProtocolLimits(**options),
            lifespan=lambda: lifespan(start, leave),
            events=events,
        )
    )


if __name__ == "__main__":
    sys.exit(main())

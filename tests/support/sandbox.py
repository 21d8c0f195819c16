"""A sandbox that runs beside the tests, in a thread of its own, for a whole run of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running, run_sandboxes
from portico.sandbox.system import SandboxKind

SECRET = "a-secret-of-the-tests"
START_SECONDS = 10


@contextlib.contextmanager
def running_beside(kind: SandboxKind) -> Iterator[Running]:
    """Serve a sandbox until the end of the block; every secret of it is SECRET."""
    started: Future[Running] = Future()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with run_sandboxes({"only": kind}, lambda _name: SECRET) as running:
            started.set_result(running["only"])
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        yield started.result(START_SECONDS)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS)
        loop.close()


def refresh(running: Running) -> None:
    """Go back to the seeded state, with nothing going wrong."""
    running.faulty.set(Faults())
    running.reset()

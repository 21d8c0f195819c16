"""A process of its own that is killed in the middle of a call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def process(program: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program up to the line it prints when it is ready; kill it at the end of the block.

    It goes on when it is written a line.
    """
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    async with asyncio.timeout(30):
        await running.stdout.readline()
    try:
        yield running
    finally:
        running.kill()
        await running.wait()


async def go_on_until(running: asyncio.subprocess.Process, happened: Callable[[], bool]) -> None:
    """Let a process go on, and return when something has happened."""
    assert running.stdin is not None
    running.stdin.write(b"go on\n")
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110  # it happens in a server that has no event for it
            await asyncio.sleep(0.005)

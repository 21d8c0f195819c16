"""A network that can be cut at any byte, between a client and a real server."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_READ_BYTES = 65536
# uvloop raises RuntimeError where a closed connection is written to.
_CLOSED = (OSError, RuntimeError)


class ByteProxy:
    """Listens on one socket and forwards to another, as told."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._clients: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        # How many times the client wrote, as far as the socket shows.
        self.writes = 0
        # Once this many more bytes of replies are forwarded, the connection is cut.
        self.cut_after: int | None = None
        # While clear, replies are held back.
        self.replies = asyncio.Event()
        self.replies.set()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, here = await asyncio.open_unix_connection(self._target)
        self._clients.append(writer)
        self._writers += [writer, here]
        for work in (self._commands(reader, here), self._replies(there, writer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cut(self) -> None:
        """Cut every connection now."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def inject(self, data: bytes) -> None:
        """Let the client read bytes that no server sent."""
        for writer in self._clients:
            if not writer.is_closing():
                writer.write(data)

    async def _commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_CLOSED):
            while data := await reader.read(_READ_BYTES):
                self.writes += 1
                writer.write(data)
        writer.close()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_CLOSED):
            while data := await reader.read(_READ_BYTES):
                await self.replies.wait()
                if self.cut_after is not None and len(data) >= self.cut_after:
                    writer.write(data[: self.cut_after])
                    self.cut_after = None
                    await writer.drain()
                    self.cut()
                    return
                if self.cut_after is not None:
                    self.cut_after -= len(data)
                writer.write(data)
        writer.close()

    async def close(self) -> None:
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def proxied(path: Path, target: Path) -> AsyncIterator[ByteProxy]:
    """Run a proxy in front of a server's socket."""
    proxy = ByteProxy(path, target)
    server = await asyncio.start_unix_server(proxy.serve, path)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()

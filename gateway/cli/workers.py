"""`portico serve --workers N`: one process starts the embedded parts, N others answer requests.

The workers share one listening socket; the kernel gives a connection to whichever is free. Each is
this command again, told on its standard input what it serves. The input stays open as long as the
supervisor lives: a worker whose supervisor is gone stops by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, BinaryIO

from gateway.config import Config

# A worker that ends by itself is started again, at most this often.
_MIN_SECONDS_BETWEEN = 1.0
_READY = b"ready\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a worker is told: what it inherits, and what the supervisor has started.

    `socket` and `status` are file descriptors, `injected` the settings of embedded parts by API.
    """

    socket: int
    status: int
    url: str
    workers: int
    injected: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, stream: BinaryIO) -> Assignment:
        return cls(**json.loads(stream.readline()))

    def tell_ready(self) -> None:
        """Tell the supervisor that connections are accepted."""
        with contextlib.suppress(OSError):
            os.write(self.status, _READY)


async def supervisor_gone(stream: BinaryIO) -> None:
    """Return when the supervisor has ended, however it did."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stream
    )
    await reader.read()


class Supervisor:
    """Keeps workers running until it is told to stop; `words` are the command of one."""

    def __init__(self, config: Config, words: Sequence[str], count: int) -> None:
        limits = config.limits.protocol()
        self._words = words
        self._count = count
        self._patience_seconds = limits.grace_seconds + 2 * limits.force_seconds
        self._stopping = asyncio.Event()
        self._processes: set[asyncio.subprocess.Process] = set()
        self._ready = 0

    def stop(self) -> None:
        """Let the workers drain."""
        self._stopping.set()

    async def run(
        self,
        sock: socket.socket,
        url: str,
        injected: Mapping[str, Mapping[str, Any]],
        ready: Callable[[], None],
    ) -> int:
        """Run the workers; return 0, or 1 where one had to be killed.

        `ready` is called once all of them accept connections.
        """

        def one_ready() -> None:
            self._ready += 1
            if self._ready == self._count:
                ready()

        keeping = [
            asyncio.create_task(self._keep(sock, url, injected, one_ready))
            for _ in range(self._count)
        ]
        try:
            await self._stopping.wait()
        finally:
            killed = await self._end(keeping)
        return int(killed)

    async def _keep(
        self,
        sock: socket.socket,
        url: str,
        injected: Mapping[str, Mapping[str, Any]],
        ready: Callable[[], None],
    ) -> None:
        """Run one worker after the other."""
        while not self._stopping.is_set():
            started = monotonic()
            code = await self._one(sock, url, injected, ready)
            if self._stopping.is_set():
                return
            print(f"a worker ended with {code}; another is started", file=sys.stderr, flush=True)
            await asyncio.sleep(max(0.0, started + _MIN_SECONDS_BETWEEN - monotonic()))

    async def _one(
        self,
        sock: socket.socket,
        url: str,
        injected: Mapping[str, Mapping[str, Any]],
        ready: Callable[[], None],
    ) -> int:
        reading, writing = os.pipe()
        told = Assignment(
            socket=sock.fileno(),
            status=writing,
            url=url,
            workers=self._count,
            injected=injected,
        )
        try:
            # A session of its own: Ctrl-C is for the supervisor, which lets the workers drain.
            process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(told.socket, told.status),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self._processes.add(process)
        try:
            if process.stdin is not None:
                process.stdin.write(json.dumps(asdict(told)).encode() + b"\n")
            # Otherwise the pipe has ended with the worker.
            if await asyncio.to_thread(os.read, reading, len(_READY)) == _READY:
                ready()
            return await process.wait()
        finally:
            os.close(reading)
            self._processes.discard(process)

    async def _end(self, keeping: Sequence[asyncio.Task[None]]) -> bool:
        """Stop the workers; return whether one had to be killed."""
        self._stopping.set()
        self._signal(asyncio.subprocess.Process.terminate)
        _, left = await asyncio.wait(keeping, timeout=self._patience_seconds)
        self._signal(asyncio.subprocess.Process.kill)
        if left:
            await asyncio.wait(left)
        return bool(left)

    def _signal(self, send: Callable[[asyncio.subprocess.Process], None]) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                send(process)

    def __repr__(self) -> str:
        return f"<Supervisor {len(self._processes)} of {self._count} workers>"

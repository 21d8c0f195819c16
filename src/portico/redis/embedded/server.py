"""A real server in a data folder, shared by the processes of one host."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import quote

from portico.redis.embedded import process
from portico.redis.embedded.binary import Binary, find, inspect
from portico.redis.embedded.errors import EmbeddedRedisError
from portico.redis.embedded.lock import ServerLock
from portico.redis.embedded.socket_path import choose_socket, find_socket

logger = logging.getLogger("portico.redis.embedded")

_DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024
# A large append-only file takes its time to load.
_START_SECONDS = 30.0
_POLL_SECONDS = 0.02
# How soon another process notices that the server ended, and starts it again.
_WATCH_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 5.0


class EmbeddedRedis:
    """Starts a server in the folder, or attaches to the one another process started there.

    The server ends with the process that started it, however that ends; then one of the others
    starts it again, and what it had answered is still there. Start it from the main thread: Linux
    ends it with the thread that made it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: Path | None = None,
        max_memory_bytes: int = _DEFAULT_MEMORY_BYTES,
        start_seconds: float = _START_SECONDS,
    ) -> None:
        self._folder = folder.absolute()
        self._wanted = binary
        self._max_memory_bytes = max_memory_bytes
        self._start_seconds = start_seconds
        self._lock = ServerLock(self._folder / "server.lock")
        self._binary: Binary | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Return how a client reaches the server, once it is started."""
        socket = find_socket(self._folder)
        if socket is None:
            raise EmbeddedRedisError("the embedded redis is not started", hint="await start()")
        return f"unix://{quote(str(socket))}"

    @property
    def owner(self) -> bool:
        """Return whether this process started the server that runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Return the process of the server, None while there is none."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        try:
            return int((self._folder / process.PID).read_text("ascii"))
        except (OSError, ValueError):
            return None

    @property
    def log(self) -> Path:
        """Return the file that the server writes its notices to."""
        return self._folder / process.LOG

    async def start(self) -> None:
        """Return once a server answers in the folder. Raises EmbeddedRedisError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            await self._obtain()
        except BaseException:
            await self.stop()
            raise
        self._watching = asyncio.create_task(self._watch(), name="embedded redis")

    async def stop(self) -> None:
        """End the server if this process started it; others may start it again."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        running, self._process = self._process, None
        if running is not None:
            with suppress(TimeoutError):
                await process.end(running)
        self._lock.let_go()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _obtain(self) -> None:
        """Start a server or find one that answers."""
        give_up_at = monotonic() + self._start_seconds
        while True:
            if self._lock.take():
                await self._launch(give_up_at)
                return
            socket = find_socket(self._folder)
            if socket is not None and await process.answers(socket):
                return
            if monotonic() > give_up_at:
                raise self._silent("started by another process, does not answer")
            await asyncio.sleep(_POLL_SECONDS)

    async def _launch(self, give_up_at: float) -> None:
        try:
            binary = await self._inspected()
            socket = choose_socket(self._folder)
            # What a killed server left there would be taken for the new one.
            socket.unlink(missing_ok=True)
            self._process = process.spawn(
                binary,
                self._folder,
                socket,
                max_memory_bytes=self._max_memory_bytes,
                inherit=self._lock.descriptor,
            )
        finally:
            self._lock.let_go()
        await self._answering(self._process, socket, give_up_at)

    async def _inspected(self) -> Binary:
        if self._binary is None:
            wanted = self._wanted
            self._binary = await asyncio.to_thread(lambda: inspect(wanted) if wanted else find())
        return self._binary

    async def _answering(
        self, started: subprocess.Popen[bytes], socket: Path, give_up_at: float
    ) -> None:
        while not await process.answers(socket):
            if started.poll() is not None:
                raise self._ended(started)
            if monotonic() > give_up_at:
                await process.end(started)
                raise self._silent("was started but does not answer")
            await asyncio.sleep(_POLL_SECONDS)

    def _ended(self, started: subprocess.Popen[bytes]) -> EmbeddedRedisError:
        said = process.last_words(self._folder)
        message = f"redis ended with status {started.returncode} while it started: {said}"
        return EmbeddedRedisError(message, hint="read its log", log=self.log)

    def _silent(self, how: str) -> EmbeddedRedisError:
        message = f"redis {how} within {self._start_seconds:g} s"
        return EmbeddedRedisError(message, hint="read its log", log=self.log)

    # While it runs.

    async def _watch(self) -> None:
        failures = 0
        while True:
            await asyncio.sleep(min(_WATCH_SECONDS * 2**failures, _MAX_PAUSE_SECONDS))
            try:
                await self._take_over()
            except (EmbeddedRedisError, OSError) as error:
                failures = min(failures + 1, 16)
                logger.error("the embedded redis cannot be started again: %s", error)  # noqa: TRY400  # a message for operators
            else:
                failures = 0

    async def _take_over(self) -> None:
        """Start a server if none runs any more."""
        if self._process is not None and self._process.poll() is not None:
            logger.warning("the embedded redis ended with status %s", self._process.returncode)
            self._process = None
        if self._process is None and self._lock.take():
            logger.warning("the embedded redis is started again in %s", self._folder)
            await self._launch(monotonic() + self._start_seconds)

    def __repr__(self) -> str:
        return f"<EmbeddedRedis {self._folder} pid={self.pid} owner={self.owner}>"

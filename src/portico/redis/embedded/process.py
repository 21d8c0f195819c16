"""The server's process: how it is started, asked and ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from portico.redis.embedded import launch
from portico.redis.embedded.binary import Binary

LOG = "redis.log"
PID = "redis.pid"
_MAX_LOG_BYTES = 1024 * 1024
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_PING_SECONDS = 1.0
# Options of Redis 7 and Valkey; an older server does not start with them.
_SINCE_SEVEN = (
    *("--enable-debug-command", "no"),
    *("--enable-module-command", "no"),
    *("--enable-protected-configs", "no"),
)


def spawn(
    binary: Binary, folder: Path, socket: Path, *, max_memory_bytes: int, inherit: int
) -> subprocess.Popen[bytes]:
    """Start the server in a folder. It ends with the thread that calls this."""
    with _open_log(folder) as log:
        return subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
            [
                *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid())),
                *arguments(binary, folder, socket, max_memory_bytes=max_memory_bytes),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            pass_fds=(inherit,),
            # Ctrl-C reaches only us; the server is stopped after the last request.
            start_new_session=True,
        )


def arguments(
    binary: Binary, folder: Path, socket: Path, *, max_memory_bytes: int
) -> tuple[str, ...]:
    """Return the command line: no port, nothing evicted, nothing answered that can be lost."""
    return (
        str(binary.path),
        *("--port", "0"),
        *("--unixsocket", str(socket), "--unixsocketperm", "600"),
        *("--dir", str(folder), "--pidfile", str(folder / PID)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory", str(max_memory_bytes), "--maxmemory-policy", "noeviction"),
        *("--daemonize", "no", "--loglevel", "notice"),
        *(_SINCE_SEVEN if binary.version >= (7,) else ()),
    )


async def answers(socket: Path) -> bool:
    """Return whether a server on the socket takes commands; one that still loads does not."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def end(process: subprocess.Popen[bytes]) -> None:
    """End the server, gently first."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        # A stopped process would not hear the signal before it goes on.
        process.send_signal(signal.SIGCONT)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await _ended(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def _ended(process: subprocess.Popen[bytes]) -> None:
    # Polling needs neither a thread nor a child watcher.
    while process.poll() is None:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_SECONDS)


def last_words(folder: Path) -> str:
    """Return the last line of the log, for a message."""
    try:
        lines = (folder / LOG).read_text("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _open_log(folder: Path) -> BinaryIO:
    path = folder / LOG
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_name(f"{LOG}.1"))
    return path.open("ab")

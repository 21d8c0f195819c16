"""One user of a folder at a time, across processes; the kernel lets go when the holder ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
from time import monotonic
from typing import TYPE_CHECKING

from system_apis.tryton.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

POLL_SECONDS = 0.1


class FolderLock:
    """An exclusive lock on a file, which holds the number of the process that has it.

    `guarded` is what the lock is for, as an error names it.
    """

    def __init__(self, path: Path, guarded: Path) -> None:
        self._path = path
        self._guarded = guarded
        self._descriptor: int | None = None

    async def acquire(self, *, wait_seconds: float = 0.0) -> None:
        """Take the lock, waiting for its holder for some time; raises SandboxError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            await self._wait(descriptor, wait_seconds)
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    async def _wait(self, descriptor: int, wait_seconds: float) -> None:
        give_up_at = monotonic() + wait_seconds
        while not _try_lock(descriptor):
            if monotonic() >= give_up_at:
                raise self._taken(descriptor)
            await asyncio.sleep(POLL_SECONDS)

    def is_taken(self) -> bool:
        """Tell whether somebody else has the lock."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _taken(self, descriptor: int) -> SandboxError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace") or "unknown"
        return SandboxError(
            f"{self._guarded} is in use by process {holder}",
            hint="stop that process, or use another data folder",
        )

    def __repr__(self) -> str:
        return f"<FolderLock {self._path} {'held' if self._descriptor is not None else 'free'}>"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

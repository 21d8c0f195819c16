"""The lock of a data folder, which the server itself holds."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class ServerLock:
    """A lock that passes to the server and so is held for exactly as long as one runs.

    Whoever takes it knows that no server uses the folder, however the last one ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def descriptor(self) -> int:
        """Return what the server is to inherit."""
        return self._descriptor

    def take(self) -> bool:
        """Take the lock if nobody has it; return whether we have it now."""
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def let_go(self) -> None:
        """Leave the lock to the server; without one, it is free."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

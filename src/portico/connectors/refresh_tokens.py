"""A rotating refresh token in a file: exclusive across processes, and saved before it counts."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from portico.connectors.failures import CredentialsError, OutOfTimeError
from portico.deadline import Deadline

# How often a process looks whether another one is done with its refresh.
POLL_SECONDS = 0.05


class RefreshTokenFile:
    """The refresh token of a credential, begun with `initial` and rotated from there.

    An `initial` that differs from the one the file began with is a new authorization: it takes
    the place of what the file has.
    """

    def __init__(self, path: Path, initial: str) -> None:
        self._path = path
        self._initial = initial

    @asynccontextmanager
    async def hold(self, deadline: Deadline) -> AsyncIterator[_Held]:
        """Hold the token; raises OutOfTimeError while another process keeps it."""
        descriptor = await asyncio.to_thread(self._open_lock)
        try:
            await _lock(descriptor, deadline)
            yield _Held(self, await asyncio.to_thread(self._load), self._initial)
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _load(self) -> str:
        try:
            kept = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return self._initial
        except ValueError as error:
            raise CredentialsError(f"{self._path} is not what was saved there") from error
        if kept.get("begun_with") != _name(self._initial):
            return self._initial
        return str(kept["refresh_token"])

    def store(self, value: str) -> None:
        """Write the token so that the file has the old one or the new one, whole, at any moment."""
        draft = self._path.with_name(f"{self._path.name}.draft")
        content = {"begun_with": _name(self._initial), "refresh_token": value}
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __repr__(self) -> str:
        return f"<RefreshTokenFile {self._path}>"


class _Held:
    """The token while its lock is held."""

    def __init__(self, file: RefreshTokenFile, value: str, initial: str) -> None:
        self._file = file
        self.value = value
        self.initial = initial

    async def save(self, value: str) -> None:
        await asyncio.to_thread(self._file.store, value)
        self.value = value


def _name(token: str) -> str:
    """Return what tells tokens apart without telling them."""
    return hashlib.sha256(token.encode()).hexdigest()


async def _lock(descriptor: int, deadline: Deadline) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if deadline.expired():
                message = "another process keeps the refresh token"
                raise OutOfTimeError(message) from error
        else:
            return
        await asyncio.sleep(POLL_SECONDS)

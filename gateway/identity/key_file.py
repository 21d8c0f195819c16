"""A file for secrets: created whole by exactly one process, refused when others can read it."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.identity.errors import KeyRingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_FILE_BYTES = 64 * 1024
# Others may not read the file; a group may, because mounted secrets are often 0440.
_FORBIDDEN_MODE = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """The content of the file and the stamp that changes when the file does."""

    content: bytes
    stamp: tuple[int, int, int]


def ensure(path: Path, make: Callable[[], bytes]) -> None:
    """Create the file unless it exists; of several processes starting at once one wins."""
    try:
        if not path.exists():
            _create(path, make())
    except OSError as error:
        raise KeyRingError(
            f"cannot create the signing keys in {path}: {error.strerror}",
            hint="name a writable folder on a local file system",
        ) from error


def read(path: Path) -> KeyFile:
    """Return the content of the file, at most one byte more than `MAX_FILE_BYTES`."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyRingError(
            f"cannot read the signing keys in {path}: {error.strerror}",
            hint="let the user who runs this process read the file",
        ) from error
    if status.st_mode & _FORBIDDEN_MODE:
        raise KeyRingError(
            f"the signing keys in {path} are open to others "
            f"(mode {stat.S_IMODE(status.st_mode):04o}, expected 0600)",
            hint=f"run chmod 600 {path}, and replace the keys if someone may have read them",
        )
    return KeyFile(content=content, stamp=(status.st_mtime_ns, status.st_ino, status.st_size))


def replace(path: Path, change: Callable[[bytes], bytes | None]) -> None:
    """Write what `change` makes of the content, unless that is None; one process at a time."""
    try:
        with _locked(path.parent):
            content = change(read(path).content)
            if content is None:
                return
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            _write_private(temporary, content)
            # Whoever reads sees the old file or the new one.
            temporary.replace(path)
            _sync_directory(path.parent)
    except OSError as error:
        raise KeyRingError(
            f"cannot write the signing keys in {path}: {error.strerror}",
            hint="let the user who runs this process write in the folder",
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _create(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write_private(temporary, content)
    try:
        # A link is made whole or not at all, and never over the winner's file.
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    _sync_directory(path.parent)


def _write_private(path: Path, content: bytes) -> None:
    # The mode is given at creation: there is no moment at which others could open it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Where the unix socket is: in the data folder, or where its path is short enough."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

# The kernel's limit is 108 bytes with the final NUL on Linux, 104 elsewhere.
_MAX_BYTES = 103
_NAME = "redis.sock"
_POINTER = "redis.sock.path"
# What mkdtemp adds to a folder, with room to spare.
_ADDED_BYTES = 40


def find_socket(folder: Path) -> Path | None:
    """Return where the socket of a data folder is, None where that is not decided yet."""
    inside = folder / _NAME
    return inside if _fits(inside) else _read(folder / _POINTER)


def choose_socket(folder: Path) -> Path:
    """Return where the socket of a data folder is to be. For whoever holds its lock.

    Where the folder's own path is too long, the socket is in a new folder of ours in the runtime
    or temporary folder, and a file in the data folder tells where.
    """
    known = find_socket(folder)
    if known is not None:
        return known
    path = Path(tempfile.mkdtemp(prefix="portico-", dir=_runtime_folder())) / _NAME
    partial = folder / f"{_POINTER}.partial"
    partial.write_text(str(path), "utf-8")
    partial.replace(folder / _POINTER)
    return path


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _MAX_BYTES


def _runtime_folder() -> str | None:
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    fits = len(os.fsencode(folder)) + _ADDED_BYTES <= _MAX_BYTES
    return folder if folder and fits and os.access(folder, os.W_OK) else None


def _read(pointer: Path) -> Path | None:
    try:
        path = Path(pointer.read_text("utf-8"))
        found = path.parent.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    # In a folder that others may write to, the socket could be theirs.
    return path if ours and not found.st_mode & 0o077 else None

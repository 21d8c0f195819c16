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


def socket_path(folder: Path) -> Path:
    """Return the path of the socket of a data folder; all its users get the same.

    Where the folder's own path is too long, the socket is in a folder of ours below the runtime
    folder, and a file in the data folder tells where.
    """
    inside = folder / _NAME
    if len(os.fsencode(inside)) <= _MAX_BYTES:
        return inside
    pointer = folder / _POINTER
    known = _read(pointer)
    if known is not None:
        return known
    made = Path(tempfile.mkdtemp(prefix="portico-", dir=_runtime_folder())) / _NAME
    return _publish(pointer, made)


def _runtime_folder() -> str | None:
    folder = os.environ.get("XDG_RUNTIME_DIR")
    usable = folder and len(os.fsencode(folder)) < _MAX_BYTES - 40 and os.access(folder, os.W_OK)
    return folder if usable else None


def _read(pointer: Path) -> Path | None:
    try:
        path = Path(pointer.read_text("utf-8"))
        found = path.parent.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    # A folder that others may write to could hold a socket of theirs.
    return path if ours and not found.st_mode & 0o077 else None


def _publish(pointer: Path, path: Path) -> Path:
    """Write the pointer in one step; another process may have been faster."""
    partial = pointer.with_name(f"{pointer.name}.{os.getpid()}")
    partial.write_text(str(path), "utf-8")
    stale = pointer.exists()
    if stale:
        partial.replace(pointer)
        return path
    try:
        os.link(partial, pointer)
    except FileExistsError:
        path.parent.rmdir()
        return _read(pointer) or path
    finally:
        partial.unlink()
    return path

"""Start a program as a process that ends when its parent does.

    python launch.py PARENT_PID PROGRAM ARGUMENT...

On Linux the kernel sends SIGKILL when the parent ends, however it ends: every write that was
answered is in the append-only file by then. Elsewhere the server outlives it, and whoever starts
in its folder attaches to it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the program."""
    parent, program = int(arguments[0]), arguments[1]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the line above: then no signal will come.
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(program, arguments[1:])  # noqa: S606  # no shell is meant


if __name__ == "__main__":
    main(sys.argv[1:])

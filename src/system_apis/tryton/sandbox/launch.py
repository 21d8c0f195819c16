"""Start Python with the given arguments, as a process that ends when its parent does.

    python launch.py PARENT_PID ARGUMENT...

It is run by the interpreter that is to run the arguments, so it uses the standard library only.
On Linux the kernel sends SIGTERM when the parent ends, however it ends; elsewhere the parent has
to see to it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the command."""
    parent = int(arguments[0])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have ended before the line above: then no signal will come.
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-I", *arguments[1:]])  # noqa: S606  no shell is meant


if __name__ == "__main__":
    main(sys.argv[1:])

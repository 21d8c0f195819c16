"""Running a command of the set-up to its end: its output goes to a log and to whoever counts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from system_apis.tryton.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LAUNCHER = Path(__file__).parent / "launch.py"
# The longest line of output that is read whole; longer ones would be a bug.
MAX_LINE_BYTES = 1024 * 1024


def launch_arguments(python: Path, arguments: Sequence[object]) -> list[str]:
    """Return the command line that runs Python as a child that ends with this process."""
    return [str(python), "-I", str(LAUNCHER), str(os.getpid()), *map(str, arguments)]


async def run(
    what: str,
    python: Path,
    arguments: Sequence[object],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a Python command to its end; raises SandboxError if it fails."""
    process = await asyncio.create_subprocess_exec(
        *launch_arguments(python, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
        limit=MAX_LINE_BYTES,
        # Ctrl-C reaches only us; we decide when the command ends.
        start_new_session=True,
    )
    try:
        # Unbuffered, so that a log that grows can be watched.
        with log.open("ab", buffering=0) as file:
            await _copy(process, file.write, on_line)
        status = await process.wait()
    except BaseException:
        _kill_group(process.pid)
        await process.wait()
        raise
    if status:
        raise SandboxError(f"{what} failed with status {status}", log=log)


async def _copy(
    process: asyncio.subprocess.Process,
    write: Callable[[bytes], object],
    on_line: Callable[[str], None],
) -> None:
    if process.stdout is None:
        raise RuntimeError("the output of the command is not piped")
    async for line in process.stdout:
        write(line)
        on_line(line.decode("utf-8", "replace").rstrip())


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def this_python() -> Path:
    """Return the interpreter that runs us."""
    return Path(sys.executable)

"""The workers of a test: told what to do, ended by pid, and asked how it went."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORKER = Path(__file__).with_name("worker.py")
# The first one waits for the program to be set up.
START_SECONDS = 60.0
ROOT = Path(__file__).parents[4]


class Crew:
    """One process that was set up once, and what it forked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count()
        self._answers: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._alive: dict[int, int] = {}
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            if "pid" in answer:
                self._alive[answer["id"]] = answer["pid"]
            elif "ended" in answer:
                self._alive.pop(answer["id"], None)
            self._answers[answer["id"]].put_nowait(answer)

    async def start(self, **command: Any) -> Worker:
        """Start a worker with a command of `worker.py`."""
        number = next(self._ids)
        self._answers[number] = asyncio.Queue()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, **command}).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(START_SECONDS):
            told = [await self._answers[number].get()]
            while "pid" not in told[-1]:
                told.append(await self._answers[number].get())
        for early in told[:-1]:
            self._answers[number].put_nowait(early)
        return Worker(told[-1]["pid"], self._answers[number])

    async def close(self) -> None:
        """End the program, and before it those that a test that failed left behind."""
        assert self._process.stdin is not None
        for pid in self._alive.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.stdin.close()
        await self._process.wait()
        self._reading.cancel()
        await asyncio.wait([self._reading])


class Worker:
    """A forked process."""

    def __init__(self, pid: int, answers: asyncio.Queue[dict[str, Any]]) -> None:
        self.pid = pid
        self._answers = answers

    async def answer(self) -> dict[str, Any] | None:
        """Return what it found, None if it was killed before."""
        answer = await self._answers.get()
        return None if "ended" in answer else answer

    @property
    def alive(self) -> bool:
        return self._answers.empty()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def crew(program: Path = WORKER) -> AsyncIterator[Crew]:
    """Set a program up, and start its workers until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )
    workers = Crew(process)
    try:
        yield workers
    finally:
        await workers.close()

"""What a program does that runs workflows and ends where it is told to.

It is set up once and forked for each run. Commands come as JSON lines; each makes a child, whose
end is told as a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.connector import BaseConnector, Connection
from dbos._sys_db import SystemDatabase
from sqlalchemy.exc import SQLAlchemyError

from portico.problems import Problem
from portico.workflow.errors import WorkflowDatabaseError

_JOURNAL_WRITES = ("init_workflow", "record_operation_result", "update_workflow_outcome")


class CrashPoints:
    """Counts the places where the process could end, and ends it at one of them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def reach(self) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around_journal(self) -> None:
        """Put one before and one after each write of the journal."""
        for name in _JOURNAL_WRITES:
            setattr(SystemDatabase, name, self._around(getattr(SystemDatabase, name)))

    def _around(self, write: Any) -> Any:
        def wrapped(database: Any, *arguments: Any, **keywords: Any) -> Any:
            self.reach()
            written = write(database, *arguments, **keywords)
            self.reach()
            return written

        return wrapped

    def around_http(self, host: str) -> None:
        """Put one before and one after each request to a host.

        That is where the transport takes a connection of aiohttp's, and where it lets go of it.
        """
        connect = BaseConnector.connect

        async def connected(connector: Any, request: Any, *more: Any) -> Connection:
            if request.url.host == host:
                self.reach()
            return await connect(connector, request, *more)

        setattr(BaseConnector, "connect", connected)  # noqa: B010  # mypy knows no assignment
        for name in ("release", "close"):
            setattr(Connection, name, self._after(getattr(Connection, name), host))

    def _after(self, let_go: Callable[[Any], None], host: str) -> Callable[[Any], None]:
        def wrapped(connection: Any) -> None:
            let_go(connection)
            if connection._key.host == host:
                self.reach()

        return wrapped


def _points(command: dict[str, Any]) -> CrashPoints:
    """Return the points of a run; a command leaves out those around the journal if it says so."""
    points = CrashPoints(command.get("crash_at", 0))
    if points.at and command.get("journal", True):
        points.around_journal()
    return points


async def patiently(
    function: Callable[..., Awaitable[Any]], *arguments: Any, **keywords: Any
) -> Any:
    """Return what the function returns, tried again while the database is away."""
    while True:
        try:
            return await function(*arguments, **keywords)
        except (Problem, SQLAlchemyError, WorkflowDatabaseError):
            await asyncio.sleep(0.2)


def tell(**answer: Any) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


async def tell_and_end(number: int, work: Awaitable[dict[str, Any]]) -> None:
    """Tell what work came to and end the process, without what a loop does at its end.

    A connection of aiosqlite that is closed twice there never comes back, and the child with it.
    """
    try:
        tell(id=number, **await work)
    except BaseException as error:  # whatever it was, the test has to see it
        tell(id=number, error=repr(error))
    os._exit(0)


class Children:
    """The forked processes; the end of each is told, after all that it told itself."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._ended: set[int] = set()

    def started(self, pid: int, number: int) -> None:
        self._numbers[pid] = number
        tell(id=number, pid=pid)
        self.collect()

    def collect(self, *_: object) -> None:
        """Tell of those that ended; one may have ended before it was noted."""
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
                self._ended.add(pid)
        for pid in self._ended & self._numbers.keys():
            self._ended.discard(pid)
            tell(id=self._numbers[pid], ended=True)


def serve(child: Callable[[dict[str, Any], CrashPoints], None]) -> None:
    """Fork a child for each line."""
    children = Children()
    signal.signal(signal.SIGCHLD, children.collect)
    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                child(command, _points(command))
            except BaseException as error:  # whatever it was, the test has to see it
                tell(id=command["id"], error=repr(error))
            os._exit(0)
        children.started(pid, command["id"])

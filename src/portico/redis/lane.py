"""One connection that the commands of many requests share.

What waits is written together, and one reader hands the replies out in order. A caller holds a
future and never touches the connection: one that is cancelled leaves its place behind, so that
its reply reaches nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import Protocol

import redis.exceptions as theirs
from redis.asyncio.connection import AbstractConnection

from portico.redis.connect import part_from
from portico.redis.errors import ErrorReply, Reason, RedisUnavailable, failure_from
from portico.redis.options import RedisOptions
from portico.redis.replies import parser_of
from portico.redis.state import Condition, LaneState
from portico.redis.waiting import Waiting, WaitingLine
from portico.redis.watchdog import Watchdog
from portico.redis.wire import PING

logger = logging.getLogger("portico.redis")

# A connection that lived shorter than this counts as a failed attempt.
_SHORT_LIFE_SECONDS = 1.0
# redis-py has the latter two below ConnectionError, but they are replies like others.
_REPLIES = (theirs.ResponseError, theirs.BusyLoadingError, theirs.AuthenticationError)
# A server that answers so was demoted, begins anew or wants another login: connect again.
_WRONG_SERVER = frozenset({Reason.READ_ONLY, Reason.LOADING, Reason.AUTHENTICATION})


class Connector(Protocol):
    """Opens connections to one server, or to whichever is the primary."""

    @property
    def address(self) -> str:
        """Return where it connects to, for messages."""
        ...

    async def connect(self) -> AbstractConnection:
        """Return an open connection on which the server has answered.

        Raises RedisUnavailable.
        """
        ...

    async def is_elsewhere(self) -> bool:
        """Return whether another server than that of the last connection is the right one now."""
        ...

    async def close(self) -> None:
        """Let go of what is needed to find the server."""


class Lane:
    """Commands to one server over one connection that is replaced when it breaks."""

    def __init__(self, connector: Connector, options: RedisOptions) -> None:
        self._connector = connector
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._line = WaitingLine(max_count=options.max_waiting, max_bytes=options.max_waiting_bytes)
        self._watchdog = Watchdog(
            self._line, stall_seconds=options.stall_seconds, stalled=self._stalled
        )
        self._condition = Condition.CONNECTING
        self._trouble: RedisUnavailable | None = None
        self._attempted = asyncio.Event()
        self._session = 0
        self._retiring: RedisUnavailable | None = None
        self._wake: asyncio.Future[None] | None = None
        self._broken: asyncio.Future[RedisUnavailable] = self._loop.create_future()
        self._task = self._loop.create_task(self._run(), name=f"redis {connector.address}")

    @property
    def condition(self) -> Condition:
        return self._condition

    def state(self) -> LaneState:
        """Return what an operator would ask."""
        return LaneState(
            address=self._connector.address,
            condition=self._condition,
            pending=self._line.pending,
            in_flight=self._line.in_flight,
            connections=self._session,
            replies=self._line.replies,
            trouble=self._trouble.detail if self._trouble else None,
        )

    async def attempted(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._attempted.wait()

    def submit(self, packed: bytes, timeout_seconds: float, *, repeatable: bool = False) -> Waiting:
        """Queue a command; its future has the reply, ErrorReply or RedisUnavailable.

        Raises RedisUnavailable at once where waiting could not help.
        """
        if self._condition >= Condition.DOWN:
            raise self._unavailable()
        waiting = self._line.join(packed, timeout_seconds, repeatable=repeatable)
        self._watchdog.arm()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        return waiting

    def let_pass(self, last: Waiting) -> bool:
        """Let the newest command pass `last`; see `WaitingLine.let_pass`."""
        return self._line.let_pass(last)

    async def close(self) -> None:
        """Close the connection; whoever still waits is told."""
        self._condition = Condition.CLOSED
        self._trouble = RedisUnavailable(Reason.CLOSED, "the client is closed", sent=False)
        self._watchdog.stop()
        self._task.cancel()
        await asyncio.wait([self._task])
        self._line.fail_in_flight(self._trouble)
        self._line.fail_pending(self._trouble)
        self._attempted.set()
        await self._connector.close()

    # The life of a connection.

    async def _run(self) -> None:
        failures = 0
        while True:
            if failures:
                await asyncio.sleep(self._pause(failures))
            try:
                useful = await self._live()
            except Exception as error:  # the lane outlives a mistake of ours, and tells of it
                logger.exception("redis %s failed", self._connector.address)
                self._go_down(RedisUnavailable(Reason.CONNECTION, repr(error), sent=False))
                useful = False
            failures = 0 if useful else failures + 1

    async def _live(self) -> bool:
        """Use one connection until it breaks; return whether it was of any use."""
        try:
            connection = await self._connector.connect()
        except RedisUnavailable as trouble:
            self._go_down(trouble)
            return False
        started = self._loop.time()
        await self._serve(connection)
        return self._loop.time() - started >= _SHORT_LIFE_SECONDS

    def _pause(self, failures: int) -> float:
        options = self._options
        doubled: float = options.first_retry_seconds * 2.0 ** min(failures - 1, 30)
        # Jitter, or all workers come back in the same instant.
        return min(options.max_retry_seconds, doubled) * random.uniform(0.5, 1.0)

    async def _serve(self, connection: AbstractConnection) -> None:
        self._begin()
        works = (self._write(connection), self._read(connection), self._keep_alive())
        tasks = [self._loop.create_task(work) for work in works]
        try:
            self._end(await self._broken)
        finally:
            for task in tasks:
                task.cancel()
            try:
                await asyncio.wait(tasks)
            finally:
                await part_from(connection)

    def _begin(self) -> None:
        if self._trouble is not None:
            logger.warning("redis %s is back", self._connector.address)
        self._session += 1
        self._retiring = None
        self._wake = None
        self._broken = self._loop.create_future()
        self._condition = Condition.READY
        self._trouble = None
        self._attempted.set()

    def _end(self, trouble: RedisUnavailable) -> None:
        if trouble.reason is Reason.TIMEOUT:
            # A server that was silent proves itself first; nobody waits for that.
            self._go_down(trouble)
            return
        # What is unwritten or repeatable stays: often a new connection is a moment away.
        self._condition = Condition.CONNECTING
        self._line.repeat()
        self._line.fail_in_flight(trouble)
        self._note(trouble)

    def _go_down(self, trouble: RedisUnavailable) -> None:
        self._condition = Condition.DOWN
        self._attempted.set()
        self._line.fail_in_flight(trouble)
        self._line.fail_pending(trouble)
        self._note(trouble)

    def _note(self, trouble: RedisUnavailable) -> None:
        if self._trouble is None or self._trouble.detail != trouble.detail:
            logger.warning("redis %s is lost: %s", self._connector.address, trouble.detail)
        self._trouble = trouble

    def _unavailable(self) -> RedisUnavailable:
        trouble = self._trouble
        if trouble is None:
            return RedisUnavailable(Reason.CONNECTION, "not connected", sent=False)
        return RedisUnavailable(trouble.reason, trouble.detail, sent=False)

    def _break(self, reason: Reason, detail: str) -> None:
        if not self._broken.done():
            self._broken.set_result(RedisUnavailable(reason, detail, sent=True))

    def _stalled(self) -> None:
        self._break(Reason.TIMEOUT, f"no reply within {self._options.stall_seconds:g} s")

    # What happens on a connection.

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            if not self._line.pending or self._retiring is not None or self._broken.done():
                self._wake = self._loop.create_future()
                await self._wake
                continue
            try:
                if batch := self._line.batch(self._session):
                    await connection.send_packed_command(batch, check_health=False)
            except (theirs.RedisError, OSError, RuntimeError) as error:
                # RuntimeError is what uvloop raises where the connection is closed already.
                self._break(Reason.CONNECTION, str(error))
                return

    async def _read(self, connection: AbstractConnection) -> None:
        parser = parser_of(connection)
        while True:
            try:
                replies = await parser.read_replies()
            except (theirs.RedisError, OSError) as error:
                self._break(Reason.CONNECTION, str(error))
                return
            for reply in replies:
                if not self._take(reply):
                    return

    def _take(self, reply: object) -> bool:
        """Hand a reply out; return False where it is the last one on this connection."""
        line = self._line
        if isinstance(reply, theirs.ConnectionError) and not isinstance(reply, _REPLIES):
            self._break(Reason.CONNECTION, str(reply))
            return False
        if not line.in_flight:
            self._break(Reason.CONNECTION, "a reply arrived that nothing had asked for")
            return False
        self._answer(line.answered(), reply)
        if self._retiring is not None and not line.in_flight:
            self._break(self._retiring.reason, self._retiring.detail)
            return False
        return True

    def _answer(self, waiting: Waiting, reply: object) -> None:
        if isinstance(reply, theirs.RedisError):
            self._retire_if_wrong(reply)
            if not waiting.future.done():
                waiting.future.set_exception(ErrorReply(reply, repeated=waiting.writes > 1))
        elif not waiting.future.done():
            waiting.future.set_result(reply)

    def _retire_if_wrong(self, error: theirs.RedisError) -> None:
        failure = failure_from(error)
        if isinstance(failure, RedisUnavailable) and failure.reason in _WRONG_SERVER:
            self._retiring = failure

    async def _keep_alive(self) -> None:
        """Ask now and then on a quiet connection, and whether it leads to the right server."""
        while True:
            replies = self._line.replies
            await asyncio.sleep(self._options.heartbeat_seconds)
            if await self._connector.is_elsewhere():
                self._retire("another server is the primary now")
            elif replies == self._line.replies and not self._line.in_flight:
                with suppress(RedisUnavailable, ErrorReply):
                    await self.submit(PING, self._options.timeout_seconds).future

    def _retire(self, detail: str) -> None:
        """Write nothing more to a wrong server; it is left once its replies are read."""
        self._retiring = RedisUnavailable(Reason.READ_ONLY, detail, sent=False)
        if not self._line.in_flight:
            self._break(Reason.READ_ONLY, detail)

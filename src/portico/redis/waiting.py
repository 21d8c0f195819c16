"""Commands that wait: first to be written, then for their replies, in one order."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import chain

from portico.redis.errors import Reason, RedisUnavailable
from portico.redis.script import Script

# One write carries little more than this, so that a large backlog is not copied at once.
_MAX_WRITE_BYTES = 256 * 1024
# How often a repeatable command is written before a lost connection is final.
_MAX_WRITES = 3


class Request:
    """A command as its caller gave it; `script` is what it runs, if it runs one.

    No dataclass: one is made for each command, and frozen ones take a microsecond.
    """

    __slots__ = ("acknowledged", "packed", "repeatable", "script")

    def __init__(
        self,
        packed: bytes,
        script: Script | None = None,
        *,
        repeatable: bool = False,
        acknowledged: bool = False,
    ) -> None:
        self.packed = packed
        self.script = script
        self.repeatable = repeatable
        self.acknowledged = acknowledged


class Waiting:
    """A command, the future its caller awaits, and how far it came."""

    __slots__ = ("deadline", "future", "packed", "repeatable", "session", "writes")

    def __init__(
        self, future: asyncio.Future[object], packed: bytes, deadline: float, *, repeatable: bool
    ) -> None:
        self.future = future
        self.packed = packed
        self.deadline = deadline
        self.repeatable = repeatable
        # The number of the connection it was last written to; 0 until it is written.
        self.session = 0
        self.writes = 0

    def fail(self, trouble: RedisUnavailable) -> None:
        """Tell the caller, if there still is one, what went wrong and whether it was written."""
        if not self.future.done():
            sent = self.session > 0
            self.future.set_exception(RedisUnavailable(trouble.reason, trouble.detail, sent=sent))

    def retrieve(self) -> None:
        """Take note of an error that nobody may be left to await."""
        self.future.add_done_callback(_retrieve)

    def __repr__(self) -> str:
        # Never the command: it may carry a secret.
        return f"<Waiting {len(self.packed)} bytes, session {self.session}>"


class WaitingLine:
    """The commands of one connection, bounded in number and bytes."""

    __slots__ = ("_bytes", "_in_flight", "_loop", "_max_bytes", "_max_count", "_pending", "replies")

    def __init__(self, *, max_count: int, max_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._pending: deque[Waiting] = deque()
        self._in_flight: deque[Waiting] = deque()
        self._bytes = 0
        # How many replies there were so far.
        self.replies = 0

    @property
    def pending(self) -> int:
        """Return how many are not written."""
        return len(self._pending)

    @property
    def in_flight(self) -> int:
        """Return how many are written and not answered."""
        return len(self._in_flight)

    def join(self, packed: bytes, timeout_seconds: float, *, repeatable: bool) -> Waiting:
        """Put a command at the end. Raises RedisUnavailable where there is no room."""
        size = self._bytes + len(packed)
        count = len(self._pending) + len(self._in_flight)
        if count >= self._max_count or size > self._max_bytes:
            detail = f"{count} commands wait with {self._bytes} bytes"
            raise RedisUnavailable(Reason.OVERLOADED, detail, sent=False)
        self._bytes = size
        loop = self._loop
        waiting = Waiting(
            loop.create_future(), packed, loop.time() + timeout_seconds, repeatable=repeatable
        )
        self._pending.append(waiting)
        return waiting

    def let_pass(self, last: Waiting) -> bool:
        """Let the newest command pass the one before it, if that is `last` and still unwritten."""
        pending = self._pending
        if len(pending) < 2 or pending[-2] is not last or last.future.done():
            return False
        pending[-2], pending[-1] = pending[-1], last
        last.deadline = max(last.deadline, pending[-2].deadline)
        return True

    def batch(self, session: int) -> list[bytes]:
        """Return what is written next; from now on it may be executed."""
        packed: list[bytes] = []
        size = 0
        while self._pending and size < _MAX_WRITE_BYTES:
            waiting = self._pending.popleft()
            if waiting.future.done():  # cancelled or late: it is not written at all
                self._bytes -= len(waiting.packed)
                continue
            waiting.session = session
            waiting.writes += 1
            self._in_flight.append(waiting)
            packed.append(waiting.packed)
            size += len(waiting.packed)
        return packed

    def answered(self) -> Waiting:
        """Return whom the next reply belongs to. Raises IndexError if nobody waits for one."""
        waiting = self._in_flight.popleft()
        self._bytes -= len(waiting.packed)
        self.replies += 1
        return waiting

    def repeat(self) -> None:
        """Put what may be repeated back before all that is unwritten."""
        again = [waiting for waiting in self._in_flight if _may_repeat(waiting)]
        lost = [waiting for waiting in self._in_flight if not _may_repeat(waiting)]
        self._pending.extendleft(reversed(again))
        self._in_flight.clear()
        self._in_flight.extend(lost)

    def fail_in_flight(self, trouble: RedisUnavailable) -> None:
        self._fail(self._in_flight, trouble)

    def fail_pending(self, trouble: RedisUnavailable) -> None:
        self._fail(self._pending, trouble)

    def _fail(self, queue: deque[Waiting], trouble: RedisUnavailable) -> None:
        while queue:
            waiting = queue.popleft()
            self._bytes -= len(waiting.packed)
            waiting.fail(trouble)

    def expire(self, now: float) -> None:
        """Fail what is late. It keeps its place: its reply may still come and is discarded."""
        for waiting in chain(self._in_flight, self._pending):
            if waiting.deadline < now:
                waiting.fail(_LATE)

    def postpone(self, until: float) -> None:
        """Let nothing be late before `until`."""
        for waiting in chain(self._in_flight, self._pending):
            waiting.deadline = max(waiting.deadline, until)

    def __repr__(self) -> str:
        return f"<WaitingLine {self.pending} pending, {self.in_flight} in flight>"


_LATE = RedisUnavailable(Reason.TIMEOUT, "no reply in time", sent=True)


def _may_repeat(waiting: Waiting) -> bool:
    return waiting.repeatable and waiting.writes < _MAX_WRITES and not waiting.future.done()


def _retrieve(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()

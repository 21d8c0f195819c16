"""One timer for all commands of a connection, in place of a time-out for each reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from portico.redis.waiting import WaitingLine

# Time-outs are this exact. The timer rests while nothing waits.
_TICK_SECONDS = 0.02
# A tick this late means that this process slept: replies may lie unread in the socket.
_LATE_SECONDS = 0.1


class Watchdog:
    """Fails commands that are late, and tells when a connection answers nothing at all."""

    def __init__(
        self, line: WaitingLine, *, stall_seconds: float, stalled: Callable[[], None]
    ) -> None:
        self._line = line
        self._stall_seconds = stall_seconds
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._slept = False
        self._silent_since = 0.0
        self._replies = 0

    def arm(self) -> None:
        """Watch until nothing waits any more."""
        if self._timer is None:
            self._silent_since = self._loop.time()
            self._again(self._silent_since)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self, now: float) -> None:
        self._due = now + _TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        slept = now - self._due > _LATE_SECONDS
        if slept and not self._slept:
            # The loop reads the sockets before the next tick; that one judges.
            self._silent_since = now
            self._line.postpone(now + _TICK_SECONDS)
        self._slept = slept
        self._line.expire(now)
        if self._replies != self._line.replies or not self._line.in_flight:
            self._replies = self._line.replies
            self._silent_since = now
        elif now - self._silent_since > self._stall_seconds:
            self._silent_since = now
            self._stalled()
        if self._line.in_flight or self._line.pending:
            self._again(now)

"""Remembers that Tryton is down, so that callers hear it at once instead of waiting for it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from system_apis.tryton.failures import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

# One refused connection may be a restart in progress; three in a row are an outage.
FAILURES_BEFORE_PAUSE = 3
# Short, so that recovery is noticed within a second.
PAUSE_SECONDS = 1.0
# A wait that Tryton asks for is kept, up to this: nothing should be able to shut us out for long.
MAX_PAUSE_SECONDS = 60.0


class Outage:
    """Counts failed connections in a row; after some, calls fail at once for a moment."""

    __slots__ = ("_clock", "_failures", "_until")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    def check(self) -> None:
        """Raise UnavailableError while Tryton is known to be down."""
        left = self._until - self._clock()
        if left > 0:
            raise UnavailableError("tryton does not answer", retry_after=max(1, round(left)))

    def failed(self) -> None:
        """Note a connection that could not be made."""
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_PAUSE:
            self._until = self._clock() + PAUSE_SECONDS

    def asked_to_wait(self, seconds: float) -> None:
        """Note that Tryton wants to be left alone for some time."""
        self._until = self._clock() + min(seconds, MAX_PAUSE_SECONDS)

    def ended(self) -> None:
        """Note an answer."""
        self._failures = 0

    def __repr__(self) -> str:
        paused = self._until > self._clock()
        return f"<Outage {self._failures} failures, {'paused' if paused else 'open'}>"

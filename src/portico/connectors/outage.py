"""Remembers that a system is down, so that callers hear it at once instead of waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from portico.connectors.failures import UnavailableError

# One refused connection may be a restart in progress; three in a row are an outage.
FAILURES_BEFORE_PAUSE = 3
# Short, so that recovery is noticed within a second.
PAUSE_SECONDS = 1.0


class Outage:
    """Counts failures in a row; after some, calls fail at once for a moment."""

    __slots__ = ("_clock", "_failures", "_system", "_until")

    def __init__(self, system: str, clock: Callable[[], float] = monotonic) -> None:
        self._system = system
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def known(self) -> bool:
        """Tell whether the system is known to be down at this moment."""
        return self._until > self._clock()

    def check(self) -> None:
        """Raise UnavailableError while the system is known to be down."""
        left = self._until - self._clock()
        if left > 0:
            raise UnavailableError(
                f"{self._system} does not answer",
                system=self._system,
                retry_after_seconds=max(1.0, left),
            )

    def failed(self) -> None:
        """Note that the system could not be reached or could not work."""
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_PAUSE:
            self._until = self._clock() + PAUSE_SECONDS

    def ended(self) -> None:
        """Note an answer."""
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Outage {self._failures} failures, {'paused' if self.known else 'open'}>"

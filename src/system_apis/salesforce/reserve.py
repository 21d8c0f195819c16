"""Keeps the last calls of an org's day for writes.

An org counts the calls of the last 24 hours and tells the count with every answer. Who uses them
all up cannot even write any more; so lists stop before.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from portico.connectors.classification import Allowance
from portico.connectors.failures import QuotaError
from system_apis.salesforce.org import SYSTEM

# While lists are refused one is let through so often, to see whether calls have come back.
PROBE_SECONDS = 60.0


class Reserve:
    """Refuses lists when no more than `calls` are left."""

    __slots__ = ("_calls", "_clock", "_next_probe")

    def __init__(self, calls: int, clock: Callable[[], float] = monotonic) -> None:
        self._calls = calls
        self._clock = clock
        self._next_probe = 0.0

    def check(self, allowance: Allowance | None) -> None:
        """Raise QuotaError if a list would use a call that is kept for writes."""
        if allowance is None or allowance.total - allowance.used > self._calls:
            return
        now = self._clock()
        if now >= self._next_probe:
            self._next_probe = now + PROBE_SECONDS
            return
        left = max(0, allowance.total - allowance.used)
        raise QuotaError(
            f"the org has {left} of its {allowance.total} calls a day left, kept for writes",
            system=SYSTEM,
            retry_after_seconds=PROBE_SECONDS,
        )

    def __repr__(self) -> str:
        return f"<Reserve of {self._calls} calls>"

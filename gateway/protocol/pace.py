"""Whether bytes move fast enough, judged at the sweeps of a coarse clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.protocol.limits import ProtocolLimits


class Pace:
    """A window of time in which a count must grow by a least number of bytes."""

    __slots__ = ("count", "since")

    def __init__(self, now: float = 0.0, count: int = 0) -> None:
        self.since = now
        self.count = count

    def __repr__(self) -> str:
        return f"<Pace since={self.since} count={self.count}>"

    def restart(self, now: float, count: int) -> None:
        """Open a new window."""
        self.since = now
        self.count = count

    def too_slow(self, now: float, count: int, limits: ProtocolLimits) -> bool:
        """Tell whether the window ran out; enough progress opens the next one."""
        if count - self.count >= limits.progress_bytes:
            self.restart(now, count)
            return False
        return now - self.since > limits.progress_seconds

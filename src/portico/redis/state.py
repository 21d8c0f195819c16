"""What a client tells about itself, for readiness and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Condition(IntEnum):
    """The condition of a connection; from DOWN on, commands are refused at once."""

    READY = 0
    CONNECTING = 1
    DOWN = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """One connection."""

    address: str
    condition: Condition
    pending: int
    in_flight: int
    connections: int  # how many there were, this one included
    replies: int
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisState:
    """The client with all its connections."""

    available: bool
    lanes: tuple[LaneState, ...]

    @property
    def trouble(self) -> str | None:
        """Return why it is not available, as the first connection that knows tells it."""
        if self.available:
            return None
        return next((lane.trouble for lane in self.lanes if lane.trouble), "connecting")

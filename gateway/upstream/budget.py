"""How long each step of one exchange may take."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

# Only for callers that set no time-outs, such as a plain httpx.AsyncClient(timeout=None).
_SECONDS = 60.0
_NO_TIMEOUTS: Mapping[str, float] = {}


class Budget:
    """The time-outs of httpx for each step, and the deadline that none of them may pass."""

    __slots__ = ("_at", "_seconds")

    def __init__(self, request: httpx.Request) -> None:
        extensions = request.extensions
        self._seconds: Mapping[str, float | None] = extensions.get("timeout", _NO_TIMEOUTS)
        deadline = extensions.get("deadline")
        self._at: float = inf if deadline is None else deadline.at

    def seconds(self, step: str) -> float:
        """Return the seconds for `connect`, `read`, `write` or `pool`; not above 0 if none left."""
        allowed = self._seconds.get(step) or _SECONDS
        left = self._at - monotonic()
        return min(allowed, left)

    def remaining(self) -> float:
        """Return the seconds to the deadline."""
        return min(_SECONDS, self._at - monotonic())

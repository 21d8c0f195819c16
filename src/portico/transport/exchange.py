"""One request on its way: how long it may take, and what it holds until it ends."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.connector import Connection

    from portico.transport.bodies import Upload
    from portico.transport.slots import Slots
    from portico.transport.wire import Outgoing

# Only for callers that set no time-outs, such as a plain httpx.AsyncClient(timeout=None).
_SECONDS = 60.0
_NO_TIMEOUTS: Mapping[str, float] = {}


class Exchange:
    """A request, its time-outs, and its place, connection and upload."""

    __slots__ = ("_at", "_seconds", "_slots", "connection", "ended", "head", "request", "upload")

    def __init__(self, request: Outgoing, head: bytes, slots: Slots) -> None:
        self.request = request
        self.head = head
        extensions = request.extensions
        self._seconds: Mapping[str, float | None] = extensions.get("timeout", _NO_TIMEOUTS)
        deadline = extensions.get("deadline")
        self._at: float = inf if deadline is None else deadline.at
        self._slots = slots
        self.connection: Connection | None = None
        self.upload: Upload | None = None
        self.ended = False

    def seconds(self, step: str) -> float:
        """Return the seconds for `connect`, `read`, `write` or `pool`; not above 0 if none left."""
        allowed = self._seconds.get(step) or _SECONDS
        left = self._at - monotonic()
        return allowed if allowed < left else left  # noqa: FURB136  # on the hot path, min() shows

    def remaining(self) -> float:
        """Return the seconds to the deadline."""
        return min(_SECONDS, self._at - monotonic())

    def end(self, *, complete: bool) -> None:
        """Give everything back; the connection is used again only after a complete exchange."""
        if self.ended:
            return
        self.ended = True
        if self.upload is not None and not self.upload.done():
            self.upload.cancel()
            complete = False
        if self.connection is not None:
            if complete:
                self.connection.release()
            else:
                self.connection.close()
        self._slots.give_back()

"""What the connections of one server share: limits, caps, and one clock that sweeps them all."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from gateway.protocol.limits import ProtocolLimits
from gateway.protocol.refusal import ProblemWriter, Refusal, log_refusal
from portico.problems import UNAVAILABLE, Problem

if TYPE_CHECKING:
    from collections.abc import Callable


# Responses have few different fields; beyond these they are looked at each time.
_MAX_FIELDS = 1000
# Fields that change how a message is framed: uvicorn knows them.
_FRAMING = frozenset({b"connection", b"transfer-encoding", b"upgrade"})
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")


class Connection(Protocol):
    """What the gate knows of a connection."""

    @property
    def peer(self) -> str: ...

    def sweep(self, now: float) -> None:
        """End the connection if it has been waiting too long."""
        ...


class Gate:
    """Admits connections up to the caps and sweeps them on a coarse clock.

    One timer serves all connections and runs only while there are any. `now` is the clock: it
    counts the seconds in which the process was able to serve, so that a stalled process does not
    blame its clients.
    """

    __slots__ = (
        "_admitted",
        "_connections",
        "_lingering",
        "_peers",
        "_ticked_at",
        "_timer",
        "known_fields",
        "limits",
        "now",
        "on_refusal",
        "writer",
    )

    def __init__(
        self,
        limits: ProtocolLimits | None = None,
        writer: ProblemWriter | None = None,
        on_refusal: Callable[[Refusal], None] = log_refusal,
    ) -> None:
        self.limits = limits or ProtocolLimits()
        self.writer = writer or ProblemWriter()
        self.on_refusal = on_refusal
        self.now = 0.0
        self._connections: set[Connection] = set()
        self._admitted: set[Connection] = set()
        self._lingering: set[Connection] = set()
        self._peers: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_at = 0.0
        self.known_fields: set[bytes] = set()  # for which `knows_field` need not be asked

    def __repr__(self) -> str:
        return f"<Gate {len(self._admitted)} admitted, {len(self._lingering)} lingering>"

    def enter(self, connection: Connection) -> Problem | None:
        """Take a new connection under the clock; return why it may not send requests, if so."""
        self._connections.add(connection)
        if self._timer is None:
            self._start_clock()
        if len(self._admitted) >= self.limits.max_connections:
            return self.unavailable("the process has as many connections as it takes")
        if self._peers[connection.peer] >= self.limits.max_connections_per_peer:
            return self.unavailable(
                "there are as many connections from this address as it may have"
            )
        self._admitted.add(connection)
        if connection.peer not in self.limits.uncounted_peers:
            self._peers[connection.peer] += 1
        return None

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._connections.discard(connection)
        self._lingering.discard(connection)
        if connection not in self._admitted:
            return
        self._admitted.remove(connection)
        if connection.peer not in self.limits.uncounted_peers:
            self._forget(connection.peer)

    def may_linger(self, connection: Connection) -> bool:
        """Tell whether a refused connection may stay to read its answer; at most so many may."""
        if len(self._lingering) >= self.limits.max_lingering:
            return False
        self._lingering.add(connection)
        return True

    def unavailable(self, detail: str) -> Problem:
        """Return a 503 that says when to come back."""
        retry_after = str(self.limits.retry_after_seconds)
        return Problem(UNAVAILABLE, detail, headers=[("retry-after", retry_after)])

    def knows_field(self, name: bytes) -> bool:
        """Tell whether this is a lower-case field name (RFC 9110, 5.1) that frames no message.

        The answer is kept.
        """
        if name in self.known_fields:
            return True
        if len(self.known_fields) >= _MAX_FIELDS or name in _FRAMING:
            return False
        if not _FIELD_NAME.fullmatch(name):
            return False
        self.known_fields.add(name)
        return True

    def advance(self, seconds: float) -> None:
        """Move the clock and sweep every connection."""
        self.now += seconds
        for connection in tuple(self._connections):
            connection.sweep(self.now)

    def _forget(self, peer: str) -> None:
        if self._peers[peer] > 1:
            self._peers[peer] -= 1
        else:
            del self._peers[peer]  # addresses are the client's to choose; zeros must not pile up

    def _start_clock(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticked_at = loop.time()
        self._timer = loop.call_later(self.limits.tick_seconds, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        elapsed = loop.time() - self._ticked_at
        self.advance(min(elapsed, 2 * self.limits.tick_seconds))
        if self._connections:
            self._start_clock()
        else:
            self._timer = None

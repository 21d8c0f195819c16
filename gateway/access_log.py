"""One line for each request, written between requests."""

from __future__ import annotations

import asyncio
import os
import select
from collections import deque
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

import orjson

from gateway.endpoints import Endpoint
from gateway.exchange import Exchange

_MAX_WAITING = 20_000  # lines, some 10 MiB; a blocked reader must not grow the process
# For each so many that wait, one piece more is written in a turn: what comes in faster than one
# piece a turn settles at a few times this, where it would grow as far as it may.
_WAITING_PER_PIECE = 64
_FLUSH_SECONDS = 0.02
_STOP_SECONDS = 2.0
_STOP_POLL_MILLISECONDS = 50
_PIPE_BYTES = 4096  # PIPE_BUF
# Longer than nearly all lines are; one that is not is written in parts.
_LONG_LINE_BYTES = 768
_METHOD_LENGTH = 20  # methods are chosen by clients
# Load balancers ask these every second; nobody asks what they were told.
_PROBES = frozenset({"/livez", "/readyz"})


# When (seconds since 1970), request id, method, status, seconds, endpoint or route, client, trace
# id, and the trace id the caller sent.
_Noted = tuple[float, str, str, int, float, Any, str | None, str | None, str]


class AccessLog:
    """JSON lines without personal data: the operation and its template, never path or query.

    Lines are written many at a time, and only as far as their reader keeps up: requests never wait
    for it. Lines beyond the bound are dropped, and a line says how many. Not with a thread: it
    would take the interpreter from the requests again and again.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._noted: deque[_Noted] = deque()
        self._unwritten = b""  # lines that are no longer in `_noted`
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._timer: asyncio.Handle | None = None
        self._unsaid = 0
        self.dropped = 0

    def write(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Note a request; `seconds` is how long it took."""
        if exchange.endpoint is None and _is_probe(exchange):
            return
        if len(self._noted) >= _MAX_WAITING:
            self._drop(1)
            return
        trace, caller = exchange.trace, exchange.caller
        self._noted.append(
            (
                time(),
                exchange.request_id,
                exchange.method,
                status,
                seconds,
                exchange.endpoint or exchange.scope.get("route"),
                None if caller is None else caller.client_id,
                None if trace is None else trace.trace_id,
                exchange.parent,
            )
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._tick)

    def stop(self) -> None:
        """Write what is left, as far as anybody reads it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        until = monotonic() + _STOP_SECONDS
        while not self._flush() and monotonic() < until:
            self._writable.poll(_STOP_POLL_MILLISECONDS)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        pieces = 1 + len(self._noted) // _WAITING_PER_PIECE
        taken = all(self._write_some() for _ in range(pieces))
        if not self._noted and not self._unwritten:
            self._timer = None
        elif taken:
            # The lines of 20 ms at once would hold up all requests for longer than one takes.
            self._timer = loop.call_soon(self._tick)
        else:
            self._timer = loop.call_later(_FLUSH_SECONDS, self._tick)

    def _flush(self) -> bool:
        """Write what the reader takes now; tell whether nothing is left."""
        while self._noted or self._unwritten:
            if not self._write_some():
                return False
        return True

    def _write_some(self) -> bool:
        """Write as many lines as a pipe takes whole; tell whether the reader is keeping up."""
        if not self._unwritten:
            self._unwritten = self._next_lines()
        if not self._writable.poll(0):
            return False
        try:
            # A pipe that is writable takes this much without blocking (pipe(7)).
            written = os.write(self._descriptor, self._unwritten[:_PIPE_BYTES])
        except OSError:
            self._drop(self._unwritten.count(b"\n"))  # nobody reads the log any more
            written = len(self._unwritten)
        self._unwritten = self._unwritten[written:]
        return True

    def _next_lines(self) -> bytes:
        """Take as many lines out of what was noted as a pipe takes whole, or one.

        So the lines of several processes that write to one pipe do not mix (pipe(7)).
        """
        lines, size = [], 0
        if self._unsaid:
            said, self._unsaid = self._unsaid, 0
            lines.append(orjson.dumps({"time": datetime.now(UTC), "droppedLines": said}) + b"\n")
        while self._noted and size + _LONG_LINE_BYTES < _PIPE_BYTES:
            line = _line(self._noted.popleft()) + b"\n"
            lines.append(line)
            size += len(line)
        return b"".join(lines)

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._unsaid += count

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._noted)} waiting, {self.dropped} dropped>"


def _is_probe(exchange: Exchange) -> bool:
    route = exchange.scope.get("route")
    return route is not None and route.path in _PROBES


def _line(noted: _Noted) -> bytes:
    when, request_id, method, status, seconds, target, client, trace, parent = noted
    line: dict[str, object] = {
        "time": datetime.fromtimestamp(when, UTC),
        "requestId": request_id,
        "method": method[:_METHOD_LENGTH],
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
    }
    if isinstance(target, Endpoint):
        line["api"] = target.api
        line["operation"] = target.operation.operation_id
        line["path"] = target.template
    elif target is not None:
        line["path"] = target.path
    if client is not None:
        line["client"] = client
    if trace is not None:
        line["trace"] = trace
    if parent:
        line["callerTrace"] = parent
    return orjson.dumps(line)
